//! Images that `qemu-img` makes read to the disk that it made them from. Skipped where it is not installed;
//! `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Fill};
use imgfmt_core::{DenyAll, Findings, Format, Image, Limits, MemoryStorage, OpenContext};
use imgfmt_vdi::Vdi;
use sha2::{Digest, Sha256};
use support::{hash, hex, open};

#[test]
fn what_qemu_img_writes_reads_back() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for size in [512, 700_416, 3 << 20, (5 << 20) + 1536] {
        let disk = disk(size);
        std::fs::write(folder.path().join("disk.raw"), &disk.bytes).unwrap();
        for (options, kind) in [("static=off", "dynamic"), ("static=on", "fixed")] {
            qemu_img(folder.path(), &["convert", "-f", "raw", "-O", "vdi", "-o", options, "disk.raw", "out.vdi"]);
            let image = open(&folder.path().join("out.vdi"), false).unwrap();
            let said = image.describe();
            assert_eq!((image.size(), said.subformat.as_deref()), (size as u64, Some(kind)));
            assert_eq!(
                (said.cluster_size, said.creator.as_deref()),
                (Some(1 << 20), Some("QEMU VM Virtual Disk Image"))
            );
            assert_eq!(hash(&image).unwrap(), hex(&Sha256::digest(&disk.bytes)), "{size} {options}");
        }
    }
}

#[test]
fn what_qemu_img_calls_damaged_is_damaged() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.vdi");
    std::fs::write(folder.path().join("disk.raw"), &disk(5 << 20).bytes).unwrap();
    qemu_img(folder.path(), &["convert", "-f", "raw", "-O", "vdi", "disk.raw", "out.vdi"]);
    let whole = std::fs::read(&path).unwrap();
    let map = usize::try_from(u32::from_le_bytes(whole[340..344].try_into().unwrap())).unwrap();
    let (first, last) = (map, map + 16);
    assert!(whole[first..first + 4] != whole[last..last + 4]);
    let stored = u64::from(u32::from_le_bytes(whole[388..392].try_into().unwrap()));
    let cases: [(&str, usize, &[u8], bool); 5] = [
        ("whole", 0, &[], false),
        ("a block twice", last, &whole[first..first + 4], true),
        ("a block behind the file", first, &[9, 0, 0, 0], true),
        ("a count that is too small", 388, &[1, 0, 0, 0], true),
        ("a block that is lost", last, &[0xff; 4], true),
    ];
    for (what, at, bytes, damaged) in cases {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(&path, &file).unwrap();
        let status =
            Command::new("qemu-img").args(["check", "-q", "-f", "vdi"]).arg(&path).stderr(Stdio::null()).status();
        assert_eq!(status.unwrap().code(), Some(if damaged { 2 } else { 0 }), "{what}");
        let (limits, mut findings) = (Limits::default(), Findings::new());
        let context = OpenContext::new(&limits, &DenyAll);
        let storage = Arc::new(MemoryStorage::new(file));
        let stats = Vdi.abilities().check.unwrap().check(storage, &context, &mut findings).unwrap();
        assert_eq!(findings.total() > 0, damaged, "{what}: {:?}", findings.kept());
        assert_eq!(stats.total_units, 5);
        if !damaged {
            assert_eq!((stats.allocated_units, stats.image_end), (stored, Some(whole.len() as u64)));
        }
    }
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
