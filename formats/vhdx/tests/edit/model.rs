//! Any steps leave what a byte vector would hold, and a whole image.

use imgfmt_core::conformance::{Step, check_edits, random_steps};
use imgfmt_core::{Erase, ErrorKind, Format, Limits, MemoryMedium, OpenContext, Preallocation};
use imgfmt_vhdx::Vhdx;
use proptest::prelude::{any, proptest};

use crate::images::{MIB, alone, edited, image, layers};

/// The kinds of disks: options, and bytes of a sector.
const KINDS: [(&str, u64); 5] = [
    ("block_size=1M", 512),
    ("block_size=2M,block_state_zero=on", 512),
    ("block_size=1M,subformat=fixed", 512),
    ("block_size=1M,logical_sector_size=4096", 4096),
    ("block_size=4M,subformat=fixed,logical_sector_size=4096", 4096),
];

proptest! {
    #![proptest_config(imgfmt_core::property_config!(6))]

    #[test]
    fn any_edits_of_a_disk_read_as_a_byte_vector_would(seed in any::<u64>(), kind in 0..KINDS.len()) {
        let (options, sector) = KINDS[kind];
        let size = 3 * MIB + 4096 * 5;
        let files = alone(options, size, &[(0..MIB / 2, 0x44), (2 * MIB..2 * MIB + 65536, 0x55)]);
        let edited = edited(&files, sector * 90);
        check_edits(&edited, &random_steps(&edited, seed, 12, size, 1));
    }

    #[test]
    fn any_edits_of_a_layer_read_as_a_byte_vector_would(seed in any::<u64>(), large_sectors in any::<bool>()) {
        let (options, sector) =
            if large_sectors { ("block_size=1M,logical_sector_size=4096", 4096) } else { ("block_size=1M", 512) };
        let files = layers(options);
        let edited = edited(&files, sector * 90);
        check_edits(&edited, &random_steps(&edited, seed, 12, 7 * MIB / 2, sector));
    }
}

#[test]
fn whole_blocks_come_and_go() {
    for (options, _) in KINDS {
        let files = alone(options, 5 * MIB, &[(0..3 * MIB, 0x66)]);
        let steps = [
            Step::Erase(0, 2 * MIB, Erase::Zero),
            Step::Flush,
            Step::Write(4 * MIB, MIB, 7),
            Step::Write(100, 5, 8),
            Step::Erase(2 * MIB, 3 * MIB, Erase::Absent),
            Step::Erase(0, 5 * MIB, Erase::ZeroKeepSpace),
            Step::Resize(9 * MIB, Preallocation::Full),
            Step::Write(8 * MIB + 3, MIB - 3, 9),
            Step::Resize(MIB, Preallocation::Off),
            Step::Resize(3 * MIB, Preallocation::Metadata),
            Step::Resize(0, Preallocation::Off),
            Step::Resize(4 * MIB - 4096, Preallocation::Falloc),
        ];
        // Blocks of 2 MiB and more are not erased in part.
        let steps = if options.contains("=1M") { &steps[..] } else { &steps[5..] };
        check_edits(&edited(&files, 4096), steps);
    }
}

#[test]
fn what_was_in_a_file_before_does_not_show_in_new_blocks() {
    let mut files = alone("block_size=1M", 3 * MIB, &[(0..MIB, 0x66)]);
    files[0].1.extend(vec![0xee; MIB as usize + 700]);
    let steps =
        [Step::Write(MIB + 5, 5, 1), Step::Write(2 * MIB, 5, 1), Step::Resize(4 * MIB, Preallocation::Metadata)];
    check_edits(&edited(&files, 512), &steps);
}

#[test]
fn space_is_given_back_and_used_again() {
    let files = alone("block_size=1M", 6 * MIB, &[(0..6 * MIB, 0x66)]);
    let len = |steps: &[Step]| check_edits(&edited(&files, 512), steps)[0].1.len() as u64;
    let full = files[0].1.len() as u64;
    assert_eq!(len(&[Step::Erase(4 * MIB, 2 * MIB, Erase::Zero)]), full - 2 * MIB);
    assert_eq!(len(&[Step::Resize(MIB, Preallocation::Off)]), full - 5 * MIB);
    assert_eq!(len(&[Step::Erase(0, 2 * MIB, Erase::Zero)]), full);
    let steps = [
        Step::Erase(0, 2 * MIB, Erase::Zero),
        Step::Flush,
        Step::Resize(8 * MIB, Preallocation::Off),
        Step::Write(7 * MIB, 5, 1),
        Step::Write(6 * MIB, 5, 1),
    ];
    assert_eq!(len(&steps), full);
}

#[test]
fn identifiers_change_before_the_data_does_and_only_then() {
    let bytes = image("block_size=1M", MIB, None, &[(0..MIB, 1)]);
    let limits = Limits::default();
    let context = OpenContext::new(&limits, &imgfmt_core::DenyAll);
    let said = |bytes: &[u8]| {
        let storage = std::sync::Arc::new(imgfmt_core::MemoryStorage::new(bytes.to_vec()));
        let details = Vhdx.open(storage, &context).unwrap().image.describe().details;
        ["file-write-guid", "data-write-guid", "sequence-number"].map(|key| details[key].to_string())
    };
    let medium = std::sync::Arc::new(MemoryMedium::new(&bytes));
    let open = || Vhdx.abilities().edit.unwrap().edit(std::sync::Arc::clone(&medium) as _, &context).unwrap();
    open().close().unwrap();
    assert!(medium.to_vec() == bytes);
    let editor = open();
    editor.write_at(&[2], 3).unwrap();
    let (before, now) = (said(&bytes), said(&medium.to_vec()));
    assert!(before.iter().zip(&now).all(|(before, now)| before != now));
    editor.close().unwrap();
    let closed = said(&medium.to_vec());
    assert_eq!((&closed[..2], medium.to_vec().len()), (&now[..2], bytes.len()));
}

#[test]
fn what_the_disk_does_not_have_is_refused() {
    let files = alone("block_size=1M", 3 * MIB, &[(0..MIB, 1)]);
    let recording = imgfmt_core::conformance::Recording::new(&files);
    edited(&files, 512)
        .edit(&recording.files(), &mut |editor| {
            let kinds = [
                editor.write_at(&[1], 3 * MIB),
                editor.erase(2 * MIB..4 * MIB, Erase::Zero),
                editor.erase(0..MIB / 2, Erase::Absent),
                editor.resize(MIB + 1, Preallocation::Off),
                editor.resize(65 << 40, Preallocation::Off),
            ]
            .map(|outcome| outcome.unwrap_err().kind());
            use ErrorKind::{Invalid, OutOfBounds};
            assert_eq!(kinds, [OutOfBounds, OutOfBounds, Invalid, Invalid, Invalid]);
            Ok(true)
        })
        .unwrap();
    assert!(recording.is_empty() || recording.now()[0].1.len() == files[0].1.len());
}
