//! Images that `qemu-img` makes read to the disk that it made them from. Skipped where it is not installed;
//! `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Fill};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    CheckStats, CreateRequest, DenyAll, FileMedium, Findings, Format, Limits, Locking, MemoryStorage, MemoryTarget,
    OpenContext, Options, Repair, Result, Severity,
};
use imgfmt_parallels::Parallels;

#[test]
fn what_qemu_img_writes_reads_back() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for size in SIZES {
        let disk = disk(size);
        std::fs::write(folder.path().join("disk.raw"), &disk.bytes).unwrap();
        for (options, cluster_len) in CLUSTERS {
            qemu_img(folder.path(), &["convert", "-f", "raw", "-O", "parallels", "-o", options, "disk.raw", "out.hds"]);
            let storage = Arc::new(MemoryStorage::new(std::fs::read(folder.path().join("out.hds")).unwrap()));
            let limits = Limits::default();
            let image = Parallels.open(storage, &OpenContext::new(&limits, &DenyAll)).unwrap().image;
            assert_eq!((image.size(), image.describe().cluster_size), (size as u64, Some(cluster_len)));
            assert!(!image.describe().dirty);
            let mut bytes = vec![1; size];
            image.read_at(&mut bytes, 0).unwrap();
            assert!(bytes == disk.bytes, "{size} {options}");
        }
    }
}

#[test]
fn qemu_img_reads_what_is_written_and_writes_the_same() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for size in SIZES {
        let disk = disk(size);
        std::fs::write(folder.path().join("disk.raw"), &disk.bytes).unwrap();
        for (options, cluster_len) in CLUSTERS {
            let ours = write(&disk, options);
            std::fs::write(folder.path().join("out.hds"), &ours).unwrap();
            assert_holds(folder.path(), &disk.bytes, &format!("{size} {options}"));
            qemu_img(
                folder.path(),
                &["convert", "-f", "raw", "-O", "parallels", "-o", options, "disk.raw", "their.hds"],
            );
            // In small clusters, QEMU does not see that some are zero.
            let is_same = cluster_len < 1 << 20 || ours == std::fs::read(folder.path().join("their.hds")).unwrap();
            assert!(is_same, "{size} {options}");
        }
    }
}

#[test]
fn what_qemu_img_calls_damaged_is_damaged() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.hds");
    std::fs::write(folder.path().join("disk.raw"), &disk(5 << 20).bytes).unwrap();
    qemu_img(folder.path(), &["convert", "-f", "raw", "-O", "parallels", "disk.raw", "out.hds"]);
    let whole = std::fs::read(&path).unwrap();
    let cases: [(&str, usize, &[u8], i32); 6] = [
        ("whole", 0, &[], 0),
        ("a cluster that is lost", 64, &[0; 4], 0),
        ("an image that is open", 44, &0x746f_6e59_u32.to_le_bytes(), 2),
        ("data_off is not there", 48, &[0; 4], 2),
        ("more than clusters", whole.len(), &[1; 1000], 3),
        ("clusters at the end", whole.len() + (1 << 20), &[1; 1 << 20], 3),
    ];
    for (what, at, bytes, code) in cases {
        let mut file = whole.clone();
        file.resize(file.len().max(at + bytes.len()), 0);
        file[at..at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(&path, &file).unwrap();
        let status =
            Command::new("qemu-img").args(["check", "-q", "-f", "parallels"]).arg(&path).stderr(Stdio::null()).status();
        assert_eq!(status.unwrap().code(), Some(code), "{what}");
        let (stats, findings) = check(file);
        let open = |severity| findings.open(severity) > 0;
        let ours = if open(Severity::Corruption) {
            2
        } else if open(Severity::Leak) {
            3
        } else {
            0
        };
        assert_eq!(ours, code, "{what}: {:?}", findings.kept());
        assert_eq!((stats.total_units, stats.image_end), (5, Some(whole.len() as u64)), "{what}");
    }
}

#[test]
fn qemu_img_takes_empty_images_for_damaged_where_they_are() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.hds");
    let options = Options::parse("cluster_size=2k").unwrap();
    let target = Arc::new(MemoryTarget::new());
    Parallels.create(target.clone(), &CreateRequest::new(4096, &options)).unwrap().finish().unwrap();
    for (offset, len, is_wrong) in [
        (4_u32, 2048, false),
        (16, 8192, false),
        (16, 8000, false),
        (16, 2048, true),
        (16, 7680, true),
        (2, 2048, true),
    ] {
        let mut file = target.to_vec();
        file[48..52].copy_from_slice(&offset.to_le_bytes());
        file.resize(len, 0);
        std::fs::write(&path, &file).unwrap();
        let status =
            Command::new("qemu-img").args(["check", "-q", "-f", "parallels"]).arg(&path).stderr(Stdio::null()).status();
        let (_, findings) = check(file);
        assert_eq!((findings.open(Severity::Corruption) > 0, status.unwrap().code() == Some(2)), (is_wrong, is_wrong));
        repair(&path).unwrap();
        assert_holds(folder.path(), &[0; 4096], &format!("{offset} {len}"));
    }
}

#[test]
fn qemu_img_reads_what_is_mended() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.hds");
    let disk = disk(5 << 20);
    let whole = write(&disk, "");
    let entry = |index: usize| u32::from_le_bytes(whole[64 + 4 * index..68 + 4 * index].try_into().unwrap());
    assert!(entry(0) != 0 && entry(4) != 0 && entry(2) == 0);
    let (first, mut copied) = (entry(0).to_le_bytes(), disk.bytes.clone());
    copied.copy_within(..1 << 20, 4 << 20);
    let mut lost = disk.bytes.clone();
    lost[4 << 20..].fill(0);
    let mut cut = disk.bytes.clone();
    cut[(5 << 20) - 1000..].fill(0);
    let end = whole.len();
    let cases: [Damage<'_>; 7] = [
        ("a cluster twice", 80, &first, end, &copied),
        ("a cluster behind the file", 80, &[99, 0, 0, 0], end, &lost),
        ("a cluster that is cut", 0, &[], end - 1000, &cut),
        ("an image that is open", 44, &0x746f_6e59_u32.to_le_bytes(), end, &disk.bytes),
        ("data_off is not there", 48, &[0; 4], end, &disk.bytes),
        ("data_off behind clusters", 48, &[0, 64, 0, 0], end, &disk.bytes),
        ("clusters at the end", 0, &[], end + (3 << 20), &disk.bytes),
    ];
    for (what, at, bytes, len, wanted) in cases {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file.resize(len, 0);
        std::fs::write(&path, &file).unwrap();
        repair(&path).unwrap();
        assert_holds(folder.path(), wanted, what);
        let (_, findings) = check(std::fs::read(&path).unwrap());
        assert_eq!(findings.total(), findings.open(Severity::Warning), "{what}: {:?}", findings.kept());
    }
}

/// What a check of `file` finds.
fn check(file: Vec<u8>) -> (CheckStats, Findings) {
    let (limits, mut findings) = (Limits::default(), Findings::new());
    let (context, storage) = (OpenContext::new(&limits, &DenyAll), Arc::new(MemoryStorage::new(file)));
    let stats = Parallels.abilities().check.unwrap().check(storage, &context, &mut findings).unwrap();
    (stats, findings)
}

/// The image that `disk` becomes with `options`.
fn write(disk: &Disk, options: &str) -> Vec<u8> {
    let (target, options) = (Arc::new(MemoryTarget::new()), Options::parse(options).unwrap());
    let request = CreateRequest::new(disk.bytes.len() as u64, &options);
    Convert::default().run(&disk.image(), Parallels.create(target.clone(), &request).unwrap()).unwrap();
    target.to_vec()
}

/// Mends the image at `path`.
fn repair(path: &Path) -> Result<()> {
    let medium = Arc::new(FileMedium::open(path, Locking::Write)?);
    let (limits, mut findings) = (Limits::default(), Findings::new());
    let context = OpenContext::new(&limits, &DenyAll);
    Parallels.abilities().check.expect("it checks").repair(medium, Repair::All, &context, &mut findings)?;
    assert_eq!(findings.open(Severity::Corruption) + findings.open(Severity::Leak), 0, "{:?}", findings.kept());
    Ok(())
}

/// Checks that `out.hds` holds `bytes` up to whole sectors, and nothing wrong, as `qemu-img` sees it.
fn assert_holds(folder: &Path, bytes: &[u8], what: &str) {
    let mut wanted = bytes.to_vec();
    wanted.resize(wanted.len().next_multiple_of(512), 0);
    std::fs::write(folder.join("wanted.raw"), wanted).unwrap();
    qemu_img(folder, &["compare", "-f", "parallels", "-F", "raw", "out.hds", "wanted.raw"]);
    qemu_img(folder, &["check", "-f", "parallels", "out.hds"]);
    let info =
        Command::new("qemu-img").args(["info", "--output=json", "out.hds"]).current_dir(folder).output().unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info["virtual-size"], bytes.len().next_multiple_of(512), "{what}");
}

/// A disk with text, noise and zeros.
fn disk(size: usize) -> Disk {
    let at = |part: usize| size / 8 * part;
    let runs = [(0..at(1), Fill::Text), (at(1)..at(2), Fill::Noise), (at(7)..size, Fill::Noise)];
    Disk::new("some", size, &runs)
}

/// Whether the oracle is there.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn has_qemu_img() -> bool {
    let there = Command::new("qemu-img").arg("--version").stdout(Stdio::null()).status().is_ok();
    assert!(there || std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "qemu-img is not installed");
    if !there {
        eprintln!("skipped: qemu-img is not installed");
    }
    there
}

/// Runs `qemu-img` in `folder`.
fn qemu_img(folder: &Path, args: &[&str]) {
    let output = Command::new("qemu-img").args(args).current_dir(folder).output().expect("it is installed");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What is done to an image: its name, bytes at a place, the length of the file; and what the disk holds once it is mended.
type Damage<'a> = (&'a str, usize, &'a [u8], usize, &'a [u8]);
/// Sizes of disks.
const SIZES: [usize; 4] = [512, 700_416, 3 << 20, (5 << 20) + 1536];
/// Options, and the clusters that they make.
const CLUSTERS: [(&str, u64); 3] =
    [("cluster_size=1M", 1 << 20), ("cluster_size=65536", 65_536), ("cluster_size=3000", 3072)];
