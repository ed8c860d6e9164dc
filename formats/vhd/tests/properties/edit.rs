//! Disks are edited as byte vectors are, and what a cut leaves of them can be mended.

use std::path::{Path, PathBuf};

use imgfmt_core::conformance::{
    Files, Noise, Recording, Step, check_change_faults, check_cuts, check_cuts_on_devices, check_edits, check_faults,
    random_steps,
};
use imgfmt_core::{
    Backing, Erase, ErrorKind, Format, Identity, Limits, OpenContext, ParentName, Preallocation, Result,
};
use imgfmt_vhd::Vhd;
use proptest::prelude::{any, proptest};

use crate::build::{Footers, Layout, footer};
use crate::config;
use crate::edited::{Named, check, edited, faults, files_of, fixed, small_layouts, without_leaks};

/// A layout of a disk in blocks of 4 KiB.
fn layout(sectors: usize, differencing: bool, seed: u64) -> Layout {
    Layout {
        size: sectors * 512,
        block_bits: 12,
        differencing,
        seed: seed | 1,
        footers: Footers::Whole,
        cut_last: seed.is_multiple_of(3),
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn any_layout_is_edited_as_a_byte_vector_is(layout in small_layouts(), base in 0..70_usize, seed in any::<u64>()) {
        let files = without_leaks(&files_of(&layout, base));
        let edited = edited(&files);
        // Parts of sectors that are the parent's cannot be written.
        let unit = if layout.differencing { 512 } else { 1 };
        let steps = random_steps(&edited, seed, 12, layout.size as u64, unit);
        check_edits(&edited, &steps);
    }

    #[test]
    fn a_fixed_disk_is_edited_as_a_byte_vector_is(sectors in 0..30_usize, seed in any::<u64>()) {
        let files = fixed(sectors, seed);
        let edited = edited(&files);
        check_edits(&edited, &random_steps(&edited, seed, 12, sectors as u64 * 512, 1));
    }
}

proptest! {
    #![proptest_config(config(10))]

    #[test]
    fn what_a_cut_leaves_can_be_mended(layout in small_layouts(), base in 0..70_usize, seed in any::<u64>()) {
        let files = without_leaks(&files_of(&layout, base));
        let edited = edited(&files);
        let steps = random_steps(&edited, seed, 7, layout.size as u64, 512);
        check_cuts(&edited, &steps, seed);
    }

    #[test]
    fn a_disk_on_a_longer_device_is_edited_and_a_cut_leaves_it_whole(layout in small_layouts(), seed in any::<u64>()) {
        let files = without_leaks(&files_of(&Layout { differencing: false, footers: Footers::Whole, ..layout }, 0));
        let edited = edited(&files);
        // The device may end with the footer at first, and not any more later.
        let room = if seed.is_multiple_of(2) { 0 } else { 1 << 20 };
        let mut steps = random_steps(&edited, seed, 7, layout.size as u64, 512);
        steps.retain(|step| match step {
            Step::Erase(at, len, _) => room > 0 || at + len <= layout.size as u64,
            Step::Flush => true,
            _ => room > 0,
        });
        check_cuts_on_devices(&edited, room, &steps, seed);
    }

    #[test]
    fn a_medium_that_fails_loses_nothing(layout in small_layouts(), base in 0..70_usize, seed in any::<u64>()) {
        let files = without_leaks(&files_of(&layout, base));
        let edited = edited(&files);
        check_faults(&edited, &random_steps(&edited, seed, 5, layout.size as u64, 512));
    }

    #[test]
    fn a_medium_that_fails_loses_nothing_of_a_fixed_disk(sectors in 0..20_usize, seed in any::<u64>()) {
        let files = fixed(sectors, seed);
        let edited = edited(&files);
        let mut steps = random_steps(&edited, seed, 6, sectors as u64 * 512, 512);
        steps.push(Step::Resize(50 * 512, Preallocation::Full));
        check_faults(&edited, &steps);
    }

    #[test]
    fn what_a_cut_leaves_of_a_fixed_disk_can_be_mended(sectors in 0..20_usize, seed in any::<u64>()) {
        let files = fixed(sectors, seed);
        let edited = edited(&files);
        check_cuts(&edited, &random_steps(&edited, seed, 8, sectors as u64 * 512, 512), seed);
    }
}

#[test]
fn nothing_is_said_to_be_erased_after_an_entry_that_may_be_there_or_not() {
    let files = without_leaks(&files_of(&Layout { block_bits: 9, ..layout(3, false, 9) }, 0));
    let steps = [
        Step::Erase(0, 3 * 512, Erase::Zero),
        Step::Write(512, 1024, 64),
        Step::Erase(512, 1024, Erase::Zero),
        Step::Erase(0, 1024, Erase::Zero),
    ];
    check_faults(&edited(&files), &steps);
}

#[test]
fn the_table_moves_when_it_has_no_room_and_the_disk_still_reads() {
    for differencing in [false, true] {
        let files = without_leaks(&files_of(&layout(40, differencing, 7), 50));
        let edited = edited(&files);
        let steps = [
            Step::Write(0, 4096, 1),
            Step::Resize(1 << 20, Preallocation::Off),
            Step::Write((1 << 20) - 4096, 4096, 2),
            Step::Flush,
            Step::Erase(0, 8192, Erase::Zero),
            Step::Flush,
            Step::Write(8192, 8192, 3),
            Step::Resize(24_576, Preallocation::Off),
            Step::Resize(65_536, Preallocation::Full),
            Step::Resize(98_304, Preallocation::Metadata),
        ];
        check_edits(&edited, &steps);
    }
}

#[test]
fn a_block_that_is_absent_is_the_parents() {
    let files = without_leaks(&files_of(&layout(40, true, 5), 40));
    let below = files[1].1[..4096].to_vec();
    let recording = Recording::new(&files);
    let held = recording.files();
    edited(&files)
        .edit(&held, &mut |editor| {
            editor.write_at(&[9; 4096], 0)?;
            let error = editor.erase(0..512, Erase::Absent).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            editor.erase(0..4096, Erase::Absent)?;
            assert_eq!(editor.write_at(&[9; 100], 0).unwrap_err().kind(), ErrorKind::Missing);
            assert_eq!(editor.write_at(&[9; 2], 40 * 512 - 1).unwrap_err().kind(), ErrorKind::OutOfBounds);
            Ok(true)
        })
        .unwrap();
    let read = edited(&files).read(&held).unwrap();
    assert!(read[..4096] == below);
}

#[test]
fn space_that_is_freed_is_used_again_and_given_back() {
    let files = without_leaks(&files_of(&layout(160, false, 11), 0));
    let recording = Recording::new(&files);
    let held = recording.files();
    let len = || recording.now()[0].1.len();
    edited(&files)
        .edit(&held, &mut |editor| {
            editor.write_at(&vec![1; 160 * 512], 0)?;
            editor.flush()?;
            let full = len();
            for index in 0..20 {
                editor.erase(index * 4096..(index + 1) * 4096, Erase::Zero)?;
                editor.flush()?;
                editor.write_at(&[2; 4096], index * 4096)?;
            }
            assert_eq!(len(), full, "space that was freed is not used again");
            editor.erase(0..160 * 512, Erase::Zero)?;
            Ok(true)
        })
        .unwrap();
    assert!(len() < 4096 + 4096, "the file keeps {} bytes", len());
    assert!(faults(&check(&recording.now())).is_empty());
}

#[test]
fn sizes_that_there_are_not_are_refused() {
    for files in [fixed(8, 3), files_of(&layout(8, false, 3), 0)] {
        let recording = Recording::new(&files);
        edited(&files)
            .edit(&recording.files(), &mut |editor| {
                for size in [4097, (2040 << 30) + 512, u64::MAX] {
                    let error = editor.resize(size, Preallocation::Off).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Invalid, "{size}");
                }
                let error = editor.resize(512, Preallocation::Full).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid);
                Ok(false)
            })
            .unwrap();
        assert!(recording.now() == files);
    }
}

#[test]
fn a_damaged_disk_is_not_edited() {
    for footers in [Footers::FrontDamaged, Footers::EndDamaged, Footers::EndMissing, Footers::SumsWrong] {
        let files = files_of(&Layout { footers, ..layout(8, false, 3) }, 0);
        let error = edited(&files).edit(&Recording::new(&files).files(), &mut |_| Ok(false)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{footers:?}");
    }
}

/// The fixed disk called `name`, of `byte`, with this identity.
fn parent(name: &str, byte: u8, id: u8) -> (String, Vec<u8>) {
    let bytes = vec![byte; 40 * 512];
    (name.to_owned(), [&bytes[..], &footer(2, bytes.len() as u64, u64::MAX, [id; 16])].concat())
}

/// A disk with this identity, called `name`, as something to build on.
fn backing(name: &str, id: u8) -> Backing {
    let hex = format!("{id:02x}");
    let value = format!("{0}-{1}-{1}-{1}-{0}{1}", hex.repeat(4), hex.repeat(2));
    Backing {
        name: ParentName { name: PathBuf::from(name), format: Some("vhd".to_owned()) },
        path: None,
        identities: vec![Identity { kind: "unique id", value }],
        size: 40 * 512,
    }
}

/// Makes the disk in `files` build on `parent`.
fn set_parent(files: &Files, parent: Option<&Backing>) -> Result<()> {
    let (limits, path) = (Limits::default(), Path::new("disk"));
    let context = OpenContext { path: Some(path), ..OpenContext::new(&limits, files) };
    Vhd.abilities().reparent.unwrap().set_parent(files.medium(path)?, parent, &context)
}

proptest! {
    #![proptest_config(config(16))]

    #[test]
    fn another_parent_is_there_or_not_wherever_the_change_is_cut(layout in small_layouts(), to in 0..3_u8, seed in any::<u64>()) {
        let mut files = without_leaks(&files_of(&layout, 40));
        files.push(parent("other.vhd", 8, 0x66));
        let target = backing("other.vhd", 0x66);
        let target = (to > 0).then_some(&target);
        let recording = Recording::new(&files);
        let before = edited(&files).read(&recording.files()).unwrap();
        set_parent(&recording.files(), target).unwrap();
        let after = edited(&files).read(&recording.files()).unwrap();
        let differencing = target.is_some();
        let image = recording.files().open(&Vhd, "disk").unwrap();
        assert_eq!(imgfmt_core::Image::describe(&image).subformat.as_deref(), Some(if differencing { "differencing" } else { "dynamic" }));
        assert!(faults(&check(&recording.now())).is_empty(), "{:?}", check(&recording.now()).kept());
        check_change_faults(&edited(&files), &|held| set_parent(held, target));
        let mut noise = Noise(seed | 1);
        for cut in 0..=recording.len() {
            for way in 0..4 {
                let left: Named = recording.cut(cut, &mut || if way < 2 { way == 1 } else { noise.below(2) == 0 });
                let left = Recording::new(&left);
                let read = edited(&files).read(&left.files()).unwrap();
                assert!(read == before || read == after, "cut after {cut}");
                edited(&files).check(&left.files(), Some(imgfmt_core::Repair::All)).unwrap();
                let read = edited(&files).read(&left.files()).unwrap();
                assert!(read == before || read == after, "repaired after a cut after {cut}");
                assert!(faults(&check(&left.now())).is_empty(), "{:?}", check(&left.now()).kept());
            }
        }
    }
}

#[test]
fn parents_that_cannot_be_named_leave_the_disk_as_it_is() {
    let files = files_of(&layout(8, true, 3), 8);
    let recording = Recording::new(&files);
    for wrong in [Backing { identities: Vec::new(), ..backing("other.vhd", 7) }, backing("a\\b.vhd", 7)] {
        assert_eq!(set_parent(&recording.files(), Some(&wrong)).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert!(recording.now() == files);
    let fixed = Recording::new(&fixed(8, 3));
    assert_eq!(set_parent(&fixed.files(), None).unwrap_err().kind(), ErrorKind::Unsupported);
}
