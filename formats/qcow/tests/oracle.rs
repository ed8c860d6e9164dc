//! Images that `qemu-img` makes read to the disk that it made them from. Skipped where it is not installed;
//! `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use imgfmt_core::conformance::{Disk, Fill};
use imgfmt_core::{ByteCounts, Image};
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
        for options in [&[][..], &["-c"]] {
            let args = [&["convert", "-f", "raw", "-O", "qcow"], options, &["disk.raw", "out.qcow"]].concat();
            qemu_img(folder.path(), &args);
            let image = open(&folder.path().join("out.qcow"), false).unwrap();
            assert_eq!(image.size(), size as u64);
            assert_eq!(ByteCounts::of(&image).unwrap().compressed > 0, options == ["-c"], "{size}");
            assert_eq!(hash(&image).unwrap(), hex(&Sha256::digest(&disk.bytes)), "{size} {options:?}");
        }
    }
}

#[test]
fn chains_of_qemu_img_read_back() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(700_416);
    std::fs::write(folder.path().join("disk.raw"), &disk.bytes).unwrap();
    std::fs::write(folder.path().join("base.raw"), &disk.bytes[..300_032]).unwrap();
    qemu_img(folder.path(), &["convert", "-f", "raw", "-O", "qcow", "base.raw", "base.qcow"]);
    qemu_img(folder.path(), &["create", "-f", "qcow", "-b", "base.qcow", "-F", "qcow", "top.qcow", "700416"]);
    // The clusters of the parent's size and before stay the parent's where they are equal.
    qemu_img(folder.path(), &["convert", "-n", "-f", "raw", "-O", "qcow", "disk.raw", "top.qcow"]);
    let image = open(&folder.path().join("top.qcow"), true).unwrap();
    assert_eq!(image.describe().parent.unwrap().name, Path::new("base.qcow"));
    assert_eq!(hash(&image).unwrap(), hex(&Sha256::digest(&disk.bytes)));
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
    // Version 10.0 says nothing and exits with 1 after a compressed qcow, which is whole.
    let compressed = args.contains(&"-c") && output.stderr.is_empty();
    assert!(output.status.success() || compressed, "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
