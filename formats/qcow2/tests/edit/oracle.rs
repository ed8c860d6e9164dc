//! qemu-img agrees with what was changed in place. Skipped where it is not installed; `IMGFMT_REQUIRE_ORACLES=1` makes
//! that a failure.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use imgfmt_core::conformance::{check_edits, random_steps};
use imgfmt_core::{
    AmendRequest, Backing, BitmapChange, FileMedium, Format, Limits, Locking, Medium, OpenContext, Options, ParentName,
    Secrets,
};
use imgfmt_qcow2::Qcow2;

use crate::images::{KINDS, edited, files};

/// Guest bytes at first.
const SIZE: usize = 120 * 512;

/// Whether the oracle is there.
pub(crate) fn has_qemu_img() -> bool {
    let there = Command::new("qemu-img").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "qemu-img is not installed");
    if !there {
        eprintln!("skipped: qemu-img is not installed");
    }
    there
}

/// Runs qemu-img in `folder` and returns its output, or what it says where it fails.
pub(crate) fn qemu_img(folder: &Path, line: &str) -> Result<String, String> {
    let output = Command::new("qemu-img").args(line.split_whitespace()).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stdout) + &text(output.stderr)) }
}

/// Writes `files` into `folder`, and checks that qemu-img finds nothing wrong with the image.
pub(crate) fn put(folder: &Path, files: &[(String, Vec<u8>)], what: &str) {
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let checked = qemu_img(folder, "check -f qcow2 top");
    assert!(checked.is_ok(), "{what}: {checked:?}");
}

#[test]
fn edited_images_are_whole_and_hold_the_same() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (index, kind) in KINDS.iter().enumerate() {
        for seed in 0..3 {
            let (source, secrets) = (files(kind, SIZE), Secrets::new());
            let mut image = edited(&source, &secrets);
            let unit = if kind.backed { 64 << 10 } else { 512 };
            image.size_unit = unit;
            let after = check_edits(&image, &random_steps(&image, seed * 31 + index as u64 + 1, 10, SIZE as u64, unit));
            let what = format!("{kind:?} {seed}");
            put(folder.path(), &after, &what);
            let recording = imgfmt_core::conformance::Recording::new(&after);
            std::fs::write(folder.path().join("model"), image.read(&recording.files()).unwrap()).unwrap();
            let compared = qemu_img(folder.path(), "compare -f qcow2 -F raw top model");
            assert!(compared.is_ok(), "{what}: {compared:?}");
        }
    }
}

#[test]
fn snapshots_bitmaps_names_and_options_are_read_as_they_were_meant() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("top");
    put(folder.path(), &files(&KINDS[8], 300_032), "at first");
    let limits = Limits::default();
    let context = OpenContext::new(&limits, &imgfmt_core::DenyAll);
    let medium = || Arc::new(FileMedium::open(&path, Locking::Write).unwrap()) as Arc<dyn Medium>;
    let abilities = Qcow2.abilities();
    abilities.snapshots.unwrap().create(medium(), "first", UNIX_EPOCH, &context).unwrap();
    let changes = [BitmapChange::Add { granularity: None }];
    abilities.bitmaps.unwrap().change(medium(), "b0", &changes, &context).unwrap();
    let name = ParentName { name: "a rather long name of a base.raw".into(), format: Some("raw".to_owned()) };
    std::fs::write(folder.path().join(&name.name), [0; 512]).unwrap();
    let backing = Backing { name, ..Backing::default() };
    abilities.reparent.unwrap().set_parent(medium(), Some(&backing), &context).unwrap();
    let options = Options::parse("lazy_refcounts=on").unwrap();
    abilities.amend.unwrap().amend(medium(), &AmendRequest::new(&options), &context).unwrap();
    let info = qemu_img(folder.path(), "info -f qcow2 top").unwrap();
    for line in ["first", "name: b0", "granularity: 65536", "lazy refcounts: true", "a rather long name of a base.raw"]
    {
        assert!(info.contains(line), "{line}: {info}");
    }
    put(folder.path(), &[], "all of it");
    abilities.reparent.unwrap().set_parent(medium(), None, &context).unwrap();
    assert!(!qemu_img(folder.path(), "info -f qcow2 top").unwrap().contains("backing"));
    // qemu-img can go on from there.
    for line in ["snapshot -c second top", "snapshot -d first top", "bitmap --remove top b0", "check top"] {
        let done = qemu_img(folder.path(), line);
        assert!(done.is_ok(), "{line}: {done:?}");
    }
    abilities.snapshots.unwrap().delete(medium(), "second", &context).unwrap();
    let options = Options::parse("compat=0.10,lazy_refcounts=off").unwrap();
    abilities.amend.unwrap().amend(medium(), &AmendRequest::new(&options), &context).unwrap();
    assert!(qemu_img(folder.path(), "info -f qcow2 top").unwrap().contains("compat: 0.10"));
    let options = Options::parse("compat=1.1").unwrap();
    abilities.amend.unwrap().amend(medium(), &AmendRequest::new(&options), &context).unwrap();
    assert!(qemu_img(folder.path(), "info -f qcow2 top").unwrap().contains("compat: 1.1"));
    put(folder.path(), &[], "in the end");
}

#[test]
fn snapshots_of_qemu_img_are_applied_and_deleted() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("top");
    put(folder.path(), &files(&KINDS[8], 300_032), "at first");
    let limits = Limits::default();
    let context = OpenContext::new(&limits, &imgfmt_core::DenyAll);
    let medium = || Arc::new(FileMedium::open(&path, Locking::Write).unwrap()) as Arc<dyn Medium>;
    let snapshots = Qcow2.abilities().snapshots.unwrap();
    for line in [
        "snapshot -c one top",
        "convert -O raw top before",
        "bench -w -c 20 -s 4096 -f qcow2 top",
        "snapshot -c two top",
    ] {
        qemu_img(folder.path(), line).unwrap();
    }
    snapshots.apply(medium(), "one", &context).unwrap();
    put(folder.path(), &[], "applied");
    qemu_img(folder.path(), "compare -f qcow2 -F raw top before").unwrap();
    for name in ["one", "two"] {
        snapshots.delete(medium(), name, &context).unwrap();
        put(folder.path(), &[], name);
    }
    qemu_img(folder.path(), "compare -f qcow2 -F raw top before").unwrap();
}
