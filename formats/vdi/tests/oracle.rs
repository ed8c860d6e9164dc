//! Images that `qemu-img` makes read to the disk that it made them from. Skipped where it is not installed;
//! `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use imgfmt_core::Image;
use imgfmt_core::conformance::{Disk, Fill};
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
