//! Other readers agree with what was edited. One that is not installed is skipped.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Recording, check_edits, random_steps};
use imgfmt_core::{DenyAll, Erase, FileMedium, Format, Limits, Locking, OpenContext, Preallocation};
use imgfmt_vhdx::Vhdx;

use crate::images::{MIB, alone, edited, layers};
use crate::readers::{PYTHON_READERS, has_qemu_img, qemu_img, read_by};

/// Writes the files to `folder`.
fn put(folder: &Path, files: &[(String, Vec<u8>)]) {
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).unwrap());
}

#[test]
fn what_was_edited_is_what_others_read() {
    let size = 3 * MIB + 4096 * 5;
    for (seed, options) in [
        (1, "block_size=1M"),
        (2, "block_size=2M,block_state_zero=on"),
        (3, "block_size=1M,subformat=fixed"),
        (4, "block_size=1M,logical_sector_size=4096"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let files = alone(options, size, &[(0..MIB / 2, 0x44), (2 * MIB..2 * MIB + 65536, 0x55)]);
        let edited = edited(&files, 4096 * 11);
        let files = check_edits(&edited, &random_steps(&edited, seed, 16, size, 1));
        put(folder.path(), &files);
        let disk = edited.read(&Recording::new(&files).files()).unwrap();
        for reader in PYTHON_READERS {
            if let Some(bytes) = read_by(reader, &folder.path().join("top.vhdx"), None) {
                assert!(bytes == disk, "{options}: {} reads another disk", reader.name);
            }
        }
        // qemu-img knows sectors of 512 bytes alone.
        if !options.contains("4096") && has_qemu_img() {
            std::fs::write(folder.path().join("disk.raw"), &disk).unwrap();
            qemu_img(folder.path(), &["check", "-f", "vhdx", "top.vhdx"]);
            qemu_img(folder.path(), &["compare", "-f", "vhdx", "-F", "raw", "top.vhdx", "disk.raw"]);
        }
    }
}

#[test]
fn a_layer_that_was_edited_is_what_others_read() {
    for (seed, sector) in [(5, 512), (6, 4096)] {
        let folder = tempfile::tempdir().unwrap();
        let files = layers(&format!("block_size=1M,logical_sector_size={sector}"));
        let edited = edited(&files, sector);
        let steps: Vec<_> = random_steps(&edited, seed, 16, 7 * MIB / 2, sector);
        let files = check_edits(&edited, &steps);
        put(folder.path(), &files);
        let disk = edited.read(&Recording::new(&files).files()).unwrap();
        let (top, base) = (folder.path().join("top.vhdx"), folder.path().join("base.vhdx"));
        for reader in PYTHON_READERS.iter().filter(|reader| reader.sees_zero_blocks) {
            if let Some(bytes) = read_by(reader, &top, Some(&base)) {
                assert!(bytes == disk, "{sector}: {} reads another disk", reader.name);
            }
        }
    }
}

#[test]
fn what_qemu_img_made_is_edited() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (seed, options) in [(7, "subformat=dynamic,block_size=1M"), (8, "subformat=fixed,block_size=2M")] {
        let size = 3 * MIB + 512;
        let raw: Vec<u8> = (0..size).map(|at| if at / 65536 % 20 == 3 { at as u8 } else { 0 }).collect();
        std::fs::write(folder.path().join("disk.raw"), &raw).unwrap();
        qemu_img(folder.path(), &["convert", "-f", "raw", "-O", "vhdx", "-o", options, "disk.raw", "top.vhdx"]);
        let files = vec![("top.vhdx".to_owned(), std::fs::read(folder.path().join("top.vhdx")).unwrap())];
        let edited = edited(&files, 512 * 301);
        let files = check_edits(&edited, &random_steps(&edited, seed, 16, size, 1));
        put(folder.path(), &files);
        std::fs::write(folder.path().join("disk.raw"), edited.read(&Recording::new(&files).files()).unwrap()).unwrap();
        qemu_img(folder.path(), &["check", "-f", "vhdx", "top.vhdx"]);
        qemu_img(folder.path(), &["compare", "-f", "vhdx", "-F", "raw", "top.vhdx", "disk.raw"]);
    }
}

#[test]
fn a_file_that_was_edited_is_what_qemu_img_reads() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("top.vhdx");
    put(folder.path(), &alone("block_size=1M", 4 * MIB, &[(0..3 * MIB, 0x44)]));
    let limits = Limits::default();
    let context = OpenContext { path: Some(&path), ..OpenContext::new(&limits, &DenyAll) };
    let open = || {
        let medium = Arc::new(FileMedium::open(&path, Locking::Write).unwrap());
        Vhdx.abilities().edit.unwrap().edit(medium, &context).unwrap()
    };
    let editor = open();
    editor.erase(0..MIB, Erase::Zero).unwrap();
    editor.erase(2 * MIB..4 * MIB, Erase::Zero).unwrap();
    editor.flush().unwrap();
    editor.write_at(&[7; 700], 4 * MIB - 700).unwrap();
    editor.write_at(&[8; 700], 2 * MIB).unwrap();
    editor.resize(9 * MIB / 2, Preallocation::Falloc).unwrap();
    editor.close().unwrap();
    let mut disk = vec![0; 9 * MIB as usize / 2];
    disk[MIB as usize..2 * MIB as usize].fill(0x44);
    disk[4 * MIB as usize - 700..4 * MIB as usize].fill(7);
    disk[2 * MIB as usize..][..700].fill(8);
    std::fs::write(folder.path().join("disk.raw"), &disk).unwrap();
    qemu_img(folder.path(), &["check", "-f", "vhdx", "top.vhdx"]);
    qemu_img(folder.path(), &["compare", "-f", "vhdx", "-F", "raw", "top.vhdx", "disk.raw"]);
    // Now the table moves.
    let editor = open();
    editor.resize(140_000 * MIB, Preallocation::Off).unwrap();
    editor.write_at(&[9; 700], 9 * MIB / 2).unwrap();
    editor.close().unwrap();
    disk.resize(6 * MIB as usize, 0);
    disk[9 * MIB as usize / 2..][..700].fill(9);
    qemu_img(folder.path(), &["check", "-f", "vhdx", "top.vhdx"]);
    let part = ["dd", "-f", "vhdx", "-O", "raw", "if=top.vhdx", "of=part.raw", "bs=1M", "count=6"];
    qemu_img(folder.path(), &part);
    assert!(std::fs::read(folder.path().join("part.raw")).unwrap() == disk);
}

#[test]
fn qemu_img_replays_a_log_that_a_cut_left() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let files = alone("block_size=1M", 3 * MIB, &[(0..MIB, 0x44)]);
    let edited = edited(&files, 512);
    let recording = Recording::new(&files);
    edited
        .edit(&recording.files(), &mut |editor| {
            editor.write_at(&[7; 1000], MIB + 5)?;
            editor.resize(4 * MIB, Preallocation::Off)?;
            Ok(true)
        })
        .unwrap();
    let mut dirty = 0;
    for cut in 0..=recording.len() {
        let left = recording.cut(cut, &mut || false);
        let left_files = Recording::new(&left).files();
        let (findings, _) = edited.check(&left_files, None).unwrap();
        if findings.kept().iter().all(|finding| finding.id != "vhdx-log-dirty") {
            continue;
        }
        dirty += 1;
        put(folder.path(), &left);
        std::fs::write(folder.path().join("disk.raw"), edited.read(&left_files).unwrap()).unwrap();
        qemu_img(folder.path(), &["check", "-f", "vhdx", "-r", "all", "top.vhdx"]);
        qemu_img(folder.path(), &["compare", "-f", "vhdx", "-F", "raw", "top.vhdx", "disk.raw"]);
    }
    assert!(dirty >= 2);
}
