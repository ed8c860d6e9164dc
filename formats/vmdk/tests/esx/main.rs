//! Sparse extents of ESX in any layout, against byte vectors, and what their disks say of themselves.

#[cfg(test)]
mod build;
#[cfg(test)]
mod huge;
#[cfg(test)]
mod said;

use imgfmt_core::conformance::{Files, Noise, check_image};
use imgfmt_core::{ErrorKind, Image};
use imgfmt_vmdk::Vmdk;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::proptest;
use proptest::test_runner::Config;

use build::{Delta, Grain, Kind};

/// Deltas of up to some thousand grains, over several tables.
fn deltas() -> impl Strategy<Value = Delta> {
    let kind = prop_oneof![Just(Kind::Cowd { grain: 1 }), Just(Kind::Cowd { grain: 8 }), Just(Kind::SeSparse)];
    let grain = prop_oneof![Just(Grain::Absent), Just(Grain::Zeroed), Just(Grain::Unmapped), Just(Grain::Data)];
    // Most are small; a long gap leads into another table.
    let gap = prop_oneof![12 => 0..60usize, 1 => 3900..4200usize];
    let runs = proptest::collection::vec((grain, 1..40usize, gap), 1..8);
    (kind, runs, 0..9usize, any::<u64>()).prop_map(|(kind, runs, odd, seed)| {
        let mut grains = vec![];
        for (grain, count, gap) in runs {
            grains.extend(std::iter::repeat_n(grain, count));
            grains.extend(std::iter::repeat_n(Grain::Absent, gap));
        }
        Delta { kind, grains, odd, seed }
    })
}

proptest! {
    #![proptest_config(Config { cases: 32, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_delta_shows_its_parent_where_it_has_no_grain(delta in deltas()) {
        let mut files = Files::default();
        let mut base = vec![0; delta.size()];
        Noise(delta.seed | 1).text(&mut base);
        files.add("base-flat.vmdk", base.clone());
        files.add("base.vmdk", build::descriptor("vmfs", delta.sectors(), "VMFS", "base-flat.vmdk", 7, None));
        files.add("delta.bin", delta.build());
        files.add("delta.vmdk", delta.descriptor("delta.bin", Some("base.vmdk")));
        let image = files.open(&Vmdk, "delta.vmdk").unwrap();
        check_image(&image, Some(&delta.over(&base)), "a delta");
    }

    #[test]
    fn a_delta_that_is_cut_is_an_error_or_the_same(delta in deltas(), cut in any::<proptest::sample::Index>()) {
        let mut files = Files::default();
        let whole = delta.build();
        files.add("delta.bin", whole[..cut.index(whole.len())].to_vec());
        files.add("delta.vmdk", delta.descriptor("delta.bin", None));
        let Ok(image) = files.open(&Vmdk, "delta.vmdk") else { return Ok(()) };
        let mut bytes = vec![0xa5; delta.size()];
        match image.read_at(&mut bytes, 0) {
            Ok(()) => assert!(bytes == delta.over(&vec![0; delta.size()])),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::OutOfBounds | ErrorKind::Malformed), "{error:?}"),
        }
    }

    #[test]
    fn damage_anywhere_does_no_harm(delta in deltas(), at in any::<proptest::sample::Index>(), value in any::<u8>()) {
        let mut file = delta.build();
        // Where numbers are: in headers, directories and tables.
        let at = at.index(file.len().min(80_000));
        file[at] ^= value;
        let mut files = Files::default();
        files.add("delta.bin", file);
        files.add("delta.vmdk", delta.descriptor("delta.bin", None));
        let Ok(image) = files.open(&Vmdk, "delta.vmdk") else { return Ok(()) };
        let _ = image.describe();
        let _ = image.read_at(&mut vec![0; delta.size()], 0);
    }
}
