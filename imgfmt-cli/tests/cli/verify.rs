//! Hashes on the way, and reading back what was written.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::desk::{Desk, Ran};

/// Bytes of the disk.
const SIZE: u64 = 3 << 20;

/// A folder with a raw disk.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.disk("disk.raw", SIZE, &[0, 1 << 20, SIZE - 65_536]);
    desk
}

/// Every kind of image that is written.
const KINDS: [(&str, &str); 12] = [
    ("raw", ""),
    ("qcow2", ""),
    ("qcow2", "-c"),
    ("qcow2", "-c -o compression_type=zstd,cluster_size=256k"),
    ("vmdk", "-o subformat=monolithicSparse"),
    ("vmdk", "-o subformat=twoGbMaxExtentFlat"),
    ("vmdk", "-o subformat=streamOptimized"),
    ("vhd", "-o subformat=dynamic,force_size=on"),
    ("vhd", "-o subformat=fixed,force_size=on"),
    ("vhdx", ""),
    ("vdi", ""),
    ("vdi", "-o static=on"),
];

#[test]
fn hashes_on_the_way_are_those_of_the_bytes() {
    let desk = desk();
    let sum = |program: &str| {
        let output = Command::new(program).arg(desk.path("disk.raw")).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    let known = [("sha256", sum("sha256sum")), ("sha512", sum("sha512sum"))];
    let blake3 = desk.ok("hash -a blake3 disk.raw").split_whitespace().next().unwrap().to_owned();
    for (format, options) in KINDS {
        let hashes = "--hash sha256 --hash sha512 --hash blake3";
        let told = desk.ok(&format!("convert --verify {hashes} -O {format} {options} disk.raw new"));
        for (name, hash) in known.iter().chain([&("blake3", blake3.clone())]) {
            assert!(told.contains(&format!("{name}:{hash}")), "{format} {options}: {told}");
            let again = desk.ok(&format!("hash -f {format} -a {name} new"));
            assert!(again.starts_with(hash), "{format} {options}: {again}");
        }
    }
}

#[test]
fn a_chain_and_a_snapshot_have_the_hash_of_what_they_show() {
    let desk = desk();
    let hash = |line: &str| desk.ok(&format!("hash {line}")).split_whitespace().next().unwrap().to_owned();
    let empty_top = hash("disk.raw");
    desk.ok("create -f qcow2 -b disk.raw -F raw top.qcow2");
    assert_eq!(hash("-f qcow2 top.qcow2"), empty_top);
    desk.ok("snapshot -f qcow2 -c before top.qcow2");
    desk.disk("other.raw", SIZE, &[65_536, 2 << 20]);
    desk.ok("convert -n -O qcow2 other.raw top.qcow2");
    assert_eq!(hash("-f qcow2 top.qcow2"), hash("other.raw"));
    assert_eq!(hash("-f qcow2 -l before top.qcow2"), empty_top);
}

#[test]
fn a_pipe_cannot_be_read_back() {
    let told = desk().fails("convert --verify -O raw disk.raw -");
    assert!(told.contains("cannot be read back"), "{told}");
}

#[test]
fn a_rate_is_not_exceeded() {
    let desk = desk();
    let start = Instant::now();
    desk.disk("full.raw", SIZE, &(0..SIZE).step_by(65_536).collect::<Vec<_>>());
    desk.ok("convert -r 3M -O raw full.raw new.raw");
    // The first job is not held up, and 3 MiB at 3 MiB/s are a second.
    assert!(start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
    assert_eq!(desk.read("new.raw"), desk.read("full.raw"));
}

#[test]
fn what_was_not_written_as_it_was_read_is_no_image() {
    for format in ["raw", "qcow2", "vhdx"] {
        let desk = Desk::new();
        desk.disk("disk.raw", SIZE, &(0..SIZE).step_by(65_536).collect::<Vec<_>>());
        desk.write("new", b"what was there");
        let line = format!("convert --verify -r 2M -O {format} disk.raw new");
        let child = desk.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        damage(&desk);
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(1), "{format}: {}", ran.stderr);
        assert!(ran.stderr.contains("what was written to new is not right"), "{format}: {}", ran.stderr);
        assert_eq!(desk.read("new"), b"what was there");
        assert_eq!(desk.names(), ["disk.raw", "new"]);
    }
}

/// Waits until the first sector of the disk is in the file that is being written, and changes a byte of it there.
fn damage(desk: &Desk) {
    let sector = desk.read("disk.raw")[..512].to_vec();
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if let Some(at) = part(desk).and_then(|path| position(&std::fs::read(&path).ok()?, &sector)) {
            let file: File = OpenOptions::new().write(true).open(part(desk).unwrap()).unwrap();
            return file.write_all_at(&[!sector[100]], at + 100).unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("nothing is being written");
}

/// The file that is being written.
fn part(desk: &Desk) -> Option<PathBuf> {
    desk.names().iter().find(|name| name.ends_with(".part")).map(|name| desk.path(name))
}

/// Where `sector` is in `bytes`.
fn position(bytes: &[u8], sector: &[u8]) -> Option<u64> {
    bytes.chunks(512).position(|chunk| chunk == sector).map(|index| index as u64 * 512)
}
