//! Any disk, written in any way, reads back, and is the same for any number of threads.

use imgfmt_core::conformance::{Disk, Fill, check_image};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::Config;
use proptest::{prop_assert, proptest};

use crate::KINDS;
use crate::folder::{Folder, How};

/// Disks of up to some hundred grains.
fn disks() -> impl Strategy<Value = Disk> {
    let fill = prop_oneof![Just(Fill::Text), Just(Fill::Noise), Just(Fill::Zeros)];
    let run = (0..200_000usize, 1..200_000usize, fill);
    (1..3_000_000usize, proptest::collection::vec(run, 0..8)).prop_map(|(size, runs)| {
        let mut at = 0;
        let mut found = vec![];
        for (gap, len, fill) in runs {
            let start = at + gap;
            let end = (start + len).min(size);
            if start < end {
                found.push((start..end, fill));
                at = end;
            }
        }
        Disk::new("any", size, &found)
    })
}

proptest! {
    #![proptest_config(Config { cases: 40, failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_disk_reads_back(disk in disks(), kind in select(&KINDS[..]), full in any::<bool>()) {
        let options = format!("{kind},cid=12345678");
        let (one, many) = (Folder::new(), Folder::new());
        for (folder, threads) in [(&one, 1), (&many, 5)] {
            let how = How { options: &options, threads, full, ..How::default() };
            folder.write_as("disk.vmdk", &disk.image(), &how).unwrap();
        }
        prop_assert!(one.files() == many.files(), "{options}: the number of threads shows");
        let mut expected = disk.bytes.clone();
        expected.resize(expected.len().next_multiple_of(512), 0);
        check_image(&one.open("disk.vmdk").unwrap(), Some(&expected), &options);
    }
}
