//! What is special about differencing disks.

use imgfmt_core::conformance::{Recording, Step, apply};
use imgfmt_core::{ByteCounts, Erase, ErrorKind, Preallocation};
use imgfmt_vhdx::Vhdx;

use crate::images::{MIB, backing, edited, image, layers};

/// Does `steps` with a layer, and returns its files.
fn done(files: &[(String, Vec<u8>)], steps: &[Step]) -> Vec<(String, Vec<u8>)> {
    let recording = Recording::new(files);
    let act = |editor: &dyn imgfmt_core::ImageEditor| {
        steps.iter().try_for_each(|step| apply(editor, step))?;
        Ok(true)
    };
    edited(files, 512).edit(&recording.files(), &mut |editor| act(editor)).unwrap();
    recording.now()
}

/// The disk of a layer with all that it builds on.
fn read(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    edited(files, 512).read(&Recording::new(files).files()).unwrap()
}

#[test]
fn what_is_absent_shows_the_parent() {
    let files = layers("block_size=1M");
    let files = done(&files, &[Step::Erase(0, 7 * MIB / 2, Erase::Absent)]);
    assert!(read(&files).iter().all(|byte| *byte == 0xb5));
    let files = done(&files, &[Step::Erase(MIB, MIB, Erase::Zero), Step::Erase(MIB, MIB, Erase::Absent)]);
    assert!(read(&files).iter().all(|byte| *byte == 0xb5));
}

#[test]
fn a_sector_in_part_needs_the_rest_of_it() {
    let files = layers("block_size=1M,logical_sector_size=4096");
    let recording = Recording::new(&files);
    edited(&files, 4096)
        .edit(&recording.files(), &mut |editor| {
            let unit = 64 << 10;
            // All of its own, a sector of its own, one of the parent's, and a block of the parent's.
            editor.write_at(&[1; 10], 5)?;
            editor.write_at(&[1; 10], MIB + unit + 5)?;
            for at in [MIB + 5, MIB + 3 * unit + 1, 2 * MIB + 100] {
                assert_eq!(editor.write_at(&[1; 10], at).unwrap_err().kind(), ErrorKind::Missing);
            }
            editor.write_at(&[1; 8192], 2 * MIB)?;
            editor.write_at(&[2; 100], 2 * MIB + 4000)?;
            Ok(true)
        })
        .unwrap();
    let disk = read(&recording.now());
    assert_eq!(disk[2 * MIB as usize + 4000..][..101], [[2; 100].as_slice(), &[1]].concat());
    assert_eq!((disk[2 * MIB as usize + 8191], disk[2 * MIB as usize + 8192]), (1, 0xb5));
}

#[test]
fn what_comes_to_a_disk_is_not_the_parents() {
    // The parent of the layer is larger once the layer has been made smaller.
    let files = layers("block_size=1M");
    for size in [MIB / 2, 2 * MIB + 512, 3 * MIB] {
        let files = done(&files, &[Step::Resize(size, Preallocation::Off)]);
        let mut expected = read(&files);
        assert_eq!(expected.len() as u64, size);
        let files = done(&files, &[Step::Resize(7 * MIB / 2, Preallocation::Off)]);
        expected.resize(7 * MIB as usize / 2, 0);
        assert!(read(&files) == expected);
    }
}

#[test]
fn a_block_that_was_left_does_not_keep_its_sectors() {
    let files = layers("block_size=1M");
    let steps = [Step::Erase(MIB, MIB, Erase::Absent), Step::Flush, Step::Write(MIB + 512 * 9, 512, 0x77)];
    let files = done(&files, &steps);
    let disk = read(&files);
    let own = disk[MIB as usize..2 * MIB as usize].iter().filter(|byte| **byte != 0xb5).count();
    assert_eq!(own, 512);
    let recording = Recording::new(&files);
    edited(&files, 512)
        .edit(&recording.files(), &mut |editor| {
            let counts = ByteCounts::of(editor.image()?.as_ref())?;
            assert_eq!(counts.data, MIB + 512 + (64 << 10));
            Ok(false)
        })
        .unwrap();
}

#[test]
fn more_changes_than_the_log_holds_are_committed_on_the_way() {
    // Entries of blocks that lie a sector of the table apart: 300 of them, and the log has room for 253 sectors.
    let size = 300 * 512 * MIB;
    let base = image("block_size=1M", MIB, None, &[(0..MIB, 0xb5)]);
    let parent = backing("base.vhdx", &base);
    let top = image("block_size=1M", size, Some(&parent), &[]);
    let files = vec![("top.vhdx".to_owned(), top), ("base.vhdx".to_owned(), base)];
    let recording = Recording::new(&files);
    edited(&files, 512)
        .edit(&recording.files(), &mut |editor| {
            for block in 0..300 {
                editor.erase(block * 512 * MIB..(block * 512 + 1) * MIB, Erase::Zero)?;
            }
            Ok(true)
        })
        .unwrap();
    let disk = recording.files().open(&Vhdx, "top.vhdx").unwrap();
    let counts = ByteCounts::of(disk.layers()[0].as_ref()).unwrap();
    assert_eq!((counts.zero, counts.data), (300 * MIB, 0));
    let (findings, _) = edited(&files, 512).check(&recording.files(), None).unwrap();
    assert_eq!(findings.total(), 0);
}
