//! Whatever the layout, the guest sees the bytes of a plain model, by whichever way it asks.

use crate::build::{Grain, Layout, Place, put};
use crate::open_bytes;
use imgfmt_core::{Extent, Image, ImageExt as _, Result};
use proptest::prelude::*;

/// Any layout that is read.
fn layouts() -> impl Strategy<Value = Layout> {
    let grain = prop_oneof![Just(8_u64), Just(16), Just(32)];
    let grains = prop_oneof![
        3 => Just(Grain::Absent),
        1 => Just(Grain::Zeroed),
        4 => any::<u8>().prop_map(Grain::Data),
    ];
    let place = prop_oneof![Just(Place::Front), Just(Place::End), Just(Place::Footer)];
    let numbers = (grain, 1..20_usize, 1..400_u64, prop::collection::vec(grains, 100), place, 0..3_usize);
    let choices = prop::collection::vec(any::<bool>(), 7);
    (numbers, choices).prop_map(|((grain, gtes, sectors, grains, place, padding), choices)| Layout {
        grain,
        gtes,
        sectors,
        grains,
        place,
        padding,
        zeroed: choices[0],
        redundant: choices[1],
        compressed: choices[2],
        markers: choices[2] && choices[3],
        reversed: choices[4],
        short_last: choices[5],
        rounded: choices[6],
        ..Layout::default()
    })
}

/// All extents of `range`, at most `max` to a call.
fn extents_of(image: &dyn Image, range: std::ops::Range<u64>, max: usize) -> Result<Vec<Extent>> {
    let mut extents = Vec::new();
    let mut next = range.start;
    while next < range.end {
        next = image.extents(next..range.end, max, &mut extents)?;
    }
    Ok(extents)
}

proptest! {
    #[test]
    fn every_layout_reads_as_its_model(layout in layouts(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let model = layout.guest();
        let opened = open_bytes(layout.build()).unwrap();
        let image = opened.image.as_ref();
        prop_assert_eq!(image.size(), model.len() as u64);
        let mut found = vec![0xa5; model.len()];
        image.read_at(&mut found, 0).unwrap();
        prop_assert!(found == model, "the whole disk differs");

        let (a, b) = (a.index(model.len()), b.index(model.len()));
        let window = a.min(b)..a.max(b) + 1;
        let mut found = vec![0x5a; window.len()];
        image.read_at(&mut found, window.start as u64).unwrap();
        prop_assert!(found == model[window.clone()], "a window differs");

        let range = window.start as u64..window.end as u64;
        let whole = extents_of(image, 0..image.size(), usize::MAX).unwrap();
        let mut expected: Vec<Extent> = whole.iter().copied().filter(|e| e.start < range.end && e.end() > range.start).collect();
        expected.iter_mut().for_each(|extent| *extent = extent.clipped(&range));
        prop_assert_eq!(extents_of(image, range.clone(), usize::MAX).unwrap(), expected);
    }

    #[test]
    fn a_lost_directory_is_mended_from_the_redundant_one(mut layout in layouts(), damage in 0..3) {
        layout.redundant = true;
        layout.place = Place::Front;
        layout.grains[0] = Grain::Data(9);
        let mut file = layout.build();
        let gd = u64::from_le_bytes(file[56..64].try_into().unwrap());
        let at = usize::try_from(gd).unwrap() * 512;
        let entries = layout.grain_count().div_ceil(layout.gtes) * 4;
        match damage {
            0 => put(&mut file, at, &vec![0; entries]),
            1 => put(&mut file, at, &vec![0xee; entries]),
            _ => put(&mut file, 56, &(1_u64 << 40).to_le_bytes()),
        }
        let opened = open_bytes(file).unwrap();
        let mut found = vec![0; layout.guest().len()];
        opened.image.read_at(&mut found, 0).unwrap();
        prop_assert!(found == layout.guest());
        prop_assert_eq!(&opened.image.describe().details["redundant-grain-directory-used"], true);
    }

    #[test]
    fn every_truncation_is_an_error_or_the_same_bytes(layout in layouts(), cut in any::<prop::sample::Index>()) {
        let mut file = layout.build();
        file.truncate(cut.index(file.len()));
        let Ok(opened) = open_bytes(file) else { return Ok(()) };
        let model = layout.guest();
        let mut found = vec![0; model.len()];
        prop_assert_eq!(opened.image.size(), model.len() as u64);
        let whole = opened.image.read_at(&mut found, 0).is_ok();
        prop_assert!(!whole || found == model, "cut bytes went unnoticed");
    }

    #[test]
    fn no_damage_makes_a_reader_panic(
        layout in layouts(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        in_front in any::<bool>(),
    ) {
        let mut file = layout.build();
        let end = if in_front { 96 } else { file.len() };
        for (at, byte) in damage {
            file[at.index(end)] = byte;
        }
        if let Ok(opened) = open_bytes(file) {
            let size = opened.image.size();
            let mut found = vec![0; usize::try_from(size.min(1 << 20)).unwrap()];
            let _ = opened.image.read_at(&mut found, 0);
            let _ = opened.image.read_at(&mut found[..1], size - 1);
        }
    }
}
