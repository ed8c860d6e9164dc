//! Compares an image with the byte vector that it should show.

use imgfmt_core::convert::is_zero;
use imgfmt_core::{Extent, ExtentKind, Image, ImageExt};

use crate::noise::Noise;

/// Checks the map of `image` in windows of every kind, and its bytes, against `expected`.
pub(crate) fn check(image: &dyn Image, expected: &[u8], seed: u64) {
    assert_eq!(image.size(), expected.len() as u64);
    assert!(image.read_at(&mut [0], image.size()).is_err(), "a byte behind the end can be read");
    assert!(image.extents(0..image.size() + 1, 9, &mut Vec::new()).is_err(), "the map goes on behind the end");
    if expected.is_empty() {
        return;
    }
    let mut noise = Noise(seed);
    for _ in 0..12 {
        let start = noise.below(expected.len());
        let len = 1 + noise.below(expected.len() - start);
        let room = 1 + noise.below(5);
        check_map(image, start..start + len, room, expected);
        check_read(image, start..start + len, expected);
    }
    check_map(image, 0..expected.len(), 2, expected);
    check_read(image, 0..expected.len(), expected);
}

/// Checks that the extents of `range`, at most `room` of them, ascend, touch, and say zero only where it is.
fn check_map(image: &dyn Image, range: std::ops::Range<usize>, room: usize, expected: &[u8]) {
    let mut extents = vec![Extent { start: 7, len: 7, layer: 7, kind: ExtentKind::Opaque }];
    let asked = range.start as u64..range.end as u64;
    let end = image.extents(asked.clone(), room, &mut extents).unwrap();
    assert_eq!((extents[0].start, extents[0].layer), (7, 7), "what was in the vector has changed");
    let mut next = asked.start;
    assert!(extents.len() <= room + 1 && extents.len() > 1, "{} extents for a room of {room}", extents.len() - 1);
    for extent in &extents[1..] {
        assert_eq!(extent.start, next);
        assert!(extent.len > 0);
        next = extent.end();
        assert_ne!(extent.kind, ExtentKind::Parent, "a flat image has no parent");
        let bytes = &expected[extent.start as usize..extent.end() as usize];
        assert!(!extent.is_zero() || is_zero(bytes), "{extent:?} is not zero");
    }
    assert_eq!(next, end);
    assert!(end <= asked.end && (end == asked.end || extents.len() == room + 1), "the answer ends early");
}

/// Checks one read.
fn check_read(image: &dyn Image, range: std::ops::Range<usize>, expected: &[u8]) {
    let mut bytes = vec![0xa5; range.len()];
    image.read_at(&mut bytes, range.start as u64).unwrap();
    assert!(bytes == expected[range.clone()], "bytes {range:?} differ");
}
