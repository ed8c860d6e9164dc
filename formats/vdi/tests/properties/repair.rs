//! What is wrong with an image is mended, and nothing is lost that could be read.

use imgfmt_core::conformance::{Recording, check_repair};
use imgfmt_core::{Format, Image, Repair, Severity};
use imgfmt_vdi::Vdi;
use proptest::prelude::{any, proptest};

use crate::build::Layout;
use crate::config;
use crate::edited::{Named, check, edited, faults, files_of, layouts, number, put};

/// A fixed image of noise in ten blocks of 4 KiB, of which block n of the disk is block n of the file.
fn plain() -> Vec<u8> {
    let layout = Layout {
        size: 80 * 512,
        block_bits: 12,
        extra: 0,
        kind: 2,
        seed: 7,
        aligned: true,
        gaps: false,
        cut_last: false,
    };
    let (mut file, _) = layout.build(&[]);
    let map = number(&file, 340);
    (0..10).for_each(|index| put(&mut file, map + 4 * index as usize, index));
    put(&mut file, 76, 1);
    file
}

/// The guest bytes of the image in `file`.
fn guest(file: &[u8]) -> Vec<u8> {
    let files = named(file.to_vec());
    edited(&files, 512).read(&Recording::new(&files).files()).unwrap()
}

/// A file as those of an image.
fn named(file: Vec<u8>) -> Named {
    vec![("disk".to_owned(), file)]
}

/// What becomes of `file` when it is mended, and which faults it had; cut anywhere, that can be done again.
fn mend(file: Vec<u8>, repair: Repair) -> (Vec<u8>, Vec<&'static str>) {
    let files = named(file);
    let found = faults(&check(&files));
    check_repair(&edited(&files, 512), repair, 3);
    let recording = Recording::new(&files);
    edited(&files, 512).check(&recording.files(), Some(repair)).unwrap();
    (recording.now().remove(0).1, found)
}

/// Checks that nothing is wrong with `file`, and that it counts `blocks`.
fn assert_whole(file: &[u8], blocks: usize) {
    assert_eq!(faults(&check(&named(file.to_vec()))), [""; 0]);
    assert_eq!((number(file, 388), file.len()), (blocks, number(file, 344) + blocks * 4096));
}

#[test]
fn a_count_that_is_too_small_is_made_large_enough_and_one_too_large_smaller() {
    for (count, repair) in [(3, Repair::All), (12, Repair::Leaks)] {
        let mut file = plain();
        put(&mut file, 388, count);
        let (mended, found) = mend(file.clone(), repair);
        assert_eq!(found, ["vdi-allocated-count"]);
        assert!(mended == plain(), "{count}");
    }
    let mut file = plain();
    put(&mut file, 388, 3);
    assert!(mend(file.clone(), Repair::Leaks).0 == file, "only leaks may be mended");
}

#[test]
fn gaps_are_closed_and_the_file_becomes_shorter() {
    let mut file = plain();
    let map = number(&file, 340);
    for index in [1, 2, 7] {
        put(&mut file, map + 4 * index, u32::MAX);
    }
    let (mended, found) = mend(file.clone(), Repair::Leaks);
    assert_eq!(found, ["vdi-block-unused"; 3]);
    assert_whole(&mended, 7);
    assert!(guest(&mended) == guest(&file));
}

#[test]
fn a_block_that_two_entries_name_is_parted() {
    let mut file = plain();
    let (map, before) = (number(&file, 340), guest(&file));
    put(&mut file, map + 4 * 8, 3);
    assert!(mend(file.clone(), Repair::Leaks).0 == file, "only leaks may be mended");
    let (mended, found) = mend(file, Repair::All);
    assert_eq!(found, ["vdi-block-twice", "vdi-block-unused"]);
    assert_whole(&mended, 10);
    let after = guest(&mended);
    assert!(after[8 * 4096..9 * 4096] == before[3 * 4096..4 * 4096]);
    assert!(after[..8 * 4096] == before[..8 * 4096] && after[9 * 4096..] == before[9 * 4096..]);
}

#[test]
fn a_block_that_is_not_there_becomes_zero_and_what_is_there_of_one_is_kept() {
    let (file, before) = (plain(), guest(&plain()));
    let cut = number(&file, 344) + 7 * 4096 + 1000;
    let (mended, found) = mend(file[..cut].to_vec(), Repair::All);
    assert_eq!(found, ["vdi-block-outside", "vdi-block-outside", "vdi-block-outside", "vdi-allocated-count"]);
    assert_whole(&mended, 8);
    let after = guest(&mended);
    let known = 7 * 4096 + 1000;
    assert!(after[..known] == before[..known] && after[known..].iter().all(|byte| *byte == 0));
}

#[test]
fn entries_that_are_of_no_block_of_the_disk_count_as_any_other() {
    let mut file = plain();
    // The disk has nine blocks, and the tenth entry names the first one's.
    file[368..372].copy_from_slice(&(9 * 4096_u32).to_le_bytes());
    let map = number(&file, 340);
    put(&mut file, map + 4 * 9, 0);
    let before = guest(&file);
    let (mended, found) = mend(file, Repair::All);
    assert_eq!(found, ["vdi-block-twice", "vdi-block-unused"]);
    assert_whole(&mended, 9);
    assert!(guest(&mended) == before);
}

#[test]
fn a_block_of_no_bytes_at_the_end_of_the_file_is_counted() {
    let mut file = plain();
    // The disk has nine blocks, and the tenth entry names a block that begins where the file ends.
    file[368..372].copy_from_slice(&(9 * 4096_u32).to_le_bytes());
    file.truncate(number(&file, 344) + 9 * 4096);
    assert_eq!(faults(&check(&named(file))), [""; 0]);
}

#[test]
fn one_block_under_every_entry_is_left_alone() {
    let mut file = plain();
    let (map, data) = (number(&file, 340), number(&file, 344));
    (0..10).for_each(|index| put(&mut file, map + 4 * index, 0));
    file.truncate(data + 4096);
    put(&mut file, 388, 1);
    let (mended, found) = mend(file.clone(), Repair::All);
    assert_eq!(found, ["vdi-block-twice"; 9]);
    assert!(mended == file);
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn layouts_with_gaps_are_mended_to_the_same_disk(layout in layouts(), base in 0..70_usize, seed in any::<u64>()) {
        let files = files_of(&Layout { gaps: true, ..layout }, base);
        let before = edited(&files, 512).read(&Recording::new(&files).files()).unwrap();
        let findings = check_repair(&edited(&files, 512), Repair::Leaks, seed);
        assert_eq!((findings.open(Severity::Leak), findings.open(Severity::Corruption)), (0, 0));
        let recording = Recording::new(&files);
        edited(&files, 512).check(&recording.files(), Some(Repair::Leaks)).unwrap();
        assert!(edited(&files, 512).read(&recording.files()).unwrap() == before);
        assert!(faults(&check(&recording.now())).is_empty());
    }

    #[test]
    fn a_repair_of_anything_loses_nothing_and_comes_to_an_end(layout in layouts(), damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..5)) {
        let mut files = files_of(&Layout { kind: 1, ..layout }, 0);
        // The counts, and the map, whose entries are small numbers.
        let (map, len) = (number(&files[0].1, 340), 4 * number(&files[0].1, 384));
        for (at, byte) in damage {
            let at = at.index(len + 4);
            files[0].1[if at < 4 { 388 + at } else { map + at - 4 }] = if at % 4 == 0 { byte % 70 } else { byte / 128 * 255 };
        }
        let sectors = |files: &Named| {
            let image = Recording::new(files).files().open(&Vdi, "disk").ok()?;
            let read = |at: u64| {
                let mut sector = [0; 512];
                image.read_at(&mut sector, at).ok().map(|()| sector)
            };
            Some((0..image.size()).step_by(512).map(read).collect::<Vec<_>>())
        };
        let before = sectors(&files);
        let recording = Recording::new(&files);
        if edited(&files, 512).check(&recording.files(), Some(Repair::All)).is_ok() {
            let after = sectors(&recording.now());
            for (index, sector) in before.into_iter().flatten().enumerate().filter(|(_, sector)| sector.is_some()) {
                assert!(after.as_ref().map(|after| after[index]) == Some(sector), "sector {index}");
            }
            let twice = faults(&check(&recording.now()));
            assert!(twice.is_empty() || twice.contains(&"vdi-block-twice"), "{twice:?}");
        }
    }
}

#[test]
fn everything_may_be_mended() {
    assert_eq!(Vdi.abilities().check.unwrap().repairs(), Some(Repair::All));
}
