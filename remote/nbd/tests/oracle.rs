//! nbdkit and qemu-nbd serve what we read and write. Skipped where they are not installed; `IMGFMT_REQUIRE_ORACLES=1` makes that a
//! failure.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use imgfmt_core::{ErrorKind, Storage, Target};
use imgfmt_nbd::{NbdAddress, NbdExport, NbdServer};

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether `program` is installed.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(there || std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "{program} is not installed");
    if !there {
        eprintln!("skipped: {program} is not installed");
    }
    there
}

/// Starts a server that listens at `socket`.
fn start(program: &str, args: &[&str], socket: &Path) -> Server {
    let child = Command::new(program).args(args).stdout(Stdio::null()).spawn().unwrap();
    let server = Server(child);
    let begun = Instant::now();
    while !socket.exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{program} {args:?} does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    server
}

/// A disk of a few runs, of `LEN` bytes.
fn disk() -> Vec<u8> {
    let mut bytes = vec![0; LEN];
    for (index, byte) in bytes.iter_mut().enumerate() {
        if (index >> 16) % 5 == 1 {
            *byte = (index % 251) as u8;
        }
    }
    bytes
}

/// Opens the export called `name` at `socket`, while the server may still be coming up.
fn open(socket: &Path, name: &str) -> NbdExport {
    let address = NbdAddress { server: NbdServer::Unix(socket.to_path_buf()), export: name.to_owned() };
    let begun = Instant::now();
    loop {
        match NbdExport::open(&address) {
            Ok(export) => return export,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(10), "{error:?}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Reads all of `export`, in pieces that fit nowhere.
fn read(export: &NbdExport) -> Vec<u8> {
    let mut bytes = vec![1; export.len() as usize];
    for (index, piece) in bytes.chunks_mut(77_777).enumerate() {
        export.read_at(piece, index as u64 * 77_777).unwrap();
    }
    bytes
}

/// Bytes of `export` that it says are zero.
fn holes(export: &NbdExport, expected: &[u8]) -> u64 {
    let (mut at, mut sum) = (0, 0);
    while at < export.len() {
        let segment = export.segment(at).unwrap();
        if segment.hole {
            assert!(expected[at as usize..][..segment.len.get() as usize].iter().all(|byte| *byte == 0));
            sum += segment.len.get();
        }
        at += segment.len.get();
    }
    sum
}

/// Writes here and there, and checks that it reads back.
fn write(export: &NbdExport, model: &mut [u8]) {
    for (at, len) in [(0, 1), (511, 2), (70_000, 5000), (99_999, 200_000), (LEN - 1, 1)] {
        let bytes: Vec<u8> = (0..len).map(|index| (index % 250 + 1) as u8).collect();
        export.write_at(&bytes, at as u64).unwrap();
        model[at..at + len].copy_from_slice(&bytes);
    }
    for (start, end) in [(5, 6), (66_000, 140_000), (131_072, 196_608), (LEN - 5000, LEN + 9)] {
        export.clear(start as u64..end as u64).unwrap();
        model[start..end.min(LEN)].fill(0);
    }
    export.sync().unwrap();
    assert!(read(export) == model);
    assert_eq!(export.write_at(&[1], LEN as u64).unwrap_err().kind(), ErrorKind::OutOfBounds);
}

#[test]
fn nbdkit_serves_in_every_way_that_it_can() {
    if !has("nbdkit") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (file, socket) = (dir.path().join("disk.raw"), dir.path().join("s"));
    for (kind, flags) in [
        ("as it likes", &[][..]),
        ("simple replies", &["--no-sr"]),
        ("no options", &["--mask-handshake=0"]),
        ("oldstyle", &["-o", "-r"]),
        ("no extents", &["--filter=noextents"]),
        ("no zeros", &["--filter=nozero"]),
        (
            "blocks of 4096 bytes",
            &["--filter=blocksize-policy", "blocksize-minimum=4096", "blocksize-error-policy=error"],
        ),
    ] {
        let mut expected = disk();
        std::fs::write(&file, &expected).unwrap();
        let _ = std::fs::remove_file(&socket);
        let mut args = vec!["-f", "--exit-with-parent", "-U", socket.to_str().unwrap()];
        args.extend(flags.iter().filter(|flag| flag.starts_with('-')));
        args.extend(["file", file.to_str().unwrap()]);
        args.extend(flags.iter().filter(|flag| !flag.starts_with('-')));
        let server = start("nbdkit", &args, &socket);
        let export = open(&socket, "");
        if flags.contains(&"-o") {
            let named = NbdAddress { server: NbdServer::Unix(socket.clone()), export: "other".to_owned() };
            assert_eq!(NbdExport::open(&named).unwrap_err().kind(), ErrorKind::Missing, "{kind}");
        }
        assert_eq!(export.len(), LEN as u64, "{kind}");
        // Of an oldstyle server, nbdkit 1.32 refuses commands that it says it takes.
        let is_writable = !flags.contains(&"-r");
        assert_eq!((export.is_writable(), export.is_resizable()), (is_writable, false), "{kind}");
        assert!(read(&export) == expected, "{kind}");
        assert!(holes(&export, &expected) == 0, "{kind}: a file that was written has no holes");
        if is_writable {
            write(&export, &mut expected);
            holes(&export, &expected);
        }
        drop((export, server));
        assert!(std::fs::read(&file).unwrap() == expected, "{kind}");
    }
}

#[test]
fn an_export_that_ends_within_a_block_is_read_and_written_as_far_as_its_server_lets_it() {
    if !has("nbdkit") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (file, socket) = (dir.path().join("disk.raw"), dir.path().join("s"));
    for (policy, tail) in [("allow", 513), ("error", 1), ("error", 513)] {
        let mut expected = disk();
        expected.truncate(LEN - 4096 + tail);
        std::fs::write(&file, &expected).unwrap();
        let _ = std::fs::remove_file(&socket);
        let filter = ["--filter=blocksize-policy", "file", file.to_str().unwrap(), "blocksize-minimum=4096"];
        let policy_is = format!("blocksize-error-policy={policy}");
        let args = [&["-f", "--exit-with-parent", "-U", socket.to_str().unwrap()][..], &filter, &[&policy_is]].concat();
        let server = start("nbdkit", &args, &socket);
        let export = open(&socket, "");
        assert_eq!(export.len(), expected.len() as u64);
        holes(&export, &expected);
        let whole = LEN - 4096;
        let mut head = vec![1; whole];
        export.read_at(&mut head, 0).unwrap();
        assert!(head == expected[..whole], "{policy}");
        let bytes = [9; 5000];
        if policy == "allow" {
            assert!(read(&export) == expected);
            export.write_at(&bytes, (expected.len() - bytes.len()) as u64).unwrap();
            let at = expected.len() - bytes.len();
            expected[at..].copy_from_slice(&bytes);
            export.clear((expected.len() - 5) as u64..expected.len() as u64).unwrap();
            expected[at + bytes.len() - 5..].fill(0);
            assert!(read(&export) == expected);
        } else {
            // Nothing of it is made up, and nothing of it is left out in silence.
            for error in [export.read_at(&mut vec![0; tail], whole as u64), export.write_at(&bytes[..1], whole as u64)]
            {
                let cause = std::error::Error::source(&error.unwrap_err()).unwrap().to_string();
                assert!(cause.contains("the export ends within a block of 4096 bytes"), "{cause}");
            }
            export.write_at(&bytes, (whole - bytes.len()) as u64).unwrap();
            expected[whole - bytes.len()..whole].copy_from_slice(&bytes);
        }
        export.sync().unwrap();
        drop((export, server));
        assert!(std::fs::read(&file).unwrap() == expected, "{policy}");
    }
}

#[test]
fn nbdkit_tells_why_it_cannot() {
    if !has("nbdkit") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let args = [
        "-f",
        "--exit-with-parent",
        "-U",
        socket.to_str().unwrap(),
        "--filter=error",
        "memory",
        "1M",
        "error=ENOSPC",
        "error-rate=100%",
    ];
    let _server = start("nbdkit", &args, &socket);
    let export = open(&socket, "");
    let error = export.write_at(&[1; 4096], 0).unwrap_err();
    let system = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
    assert_eq!(system.map(std::io::Error::kind), Some(std::io::ErrorKind::StorageFull), "{error:?}");
    assert!(export.read_at(&mut [0; 512], 0).is_err());
}

#[test]
fn qemu_nbd_serves_an_image_as_a_disk() {
    if !has("qemu-nbd") || !has("qemu-img") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    let mut expected = disk();
    std::fs::write(path("disk.raw"), &expected).unwrap();
    let status = Command::new("qemu-img")
        .current_dir(dir.path())
        .args(["convert", "-f", "raw", "-O", "qcow2", "disk.raw", "disk.qcow2"])
        .status();
    assert!(status.unwrap().success());
    let (socket, image) = (path("s"), path("disk.qcow2"));
    let args = ["-f", "qcow2", "-t", "-e", "2", "-x", "näme", "-k", socket.to_str().unwrap(), image.to_str().unwrap()];
    let server = start("qemu-nbd", &args, &socket);
    let export = open(&socket, "näme");
    assert!(read(&export) == expected);
    assert_eq!(
        holes(&export, &expected),
        expected.chunks(65_536).filter(|run| run.iter().all(|b| *b == 0)).count() as u64 * 65_536
    );
    write(&export, &mut expected);
    drop(export);
    let wrong = NbdAddress { server: NbdServer::Unix(socket.clone()), export: "other".to_owned() };
    let error = NbdExport::open(&wrong).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains("'other'"), "{error}");
    drop(server);
    let gone = NbdExport::open(&wrong).unwrap_err();
    assert!(gone.to_string().contains("Failed to connect to"), "{gone}");
}

/// Bytes of the disk.
const LEN: usize = 3 << 20;
