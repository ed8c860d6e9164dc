//! What an image says must not depend on how it is asked.

use imgfmt_core::convert::is_zero;
use imgfmt_core::{Extent, Image, ImageExt};

/// Walks the map of `image` in large and in small windows and reads parts of it: whatever can be had twice is the
/// same, and what the map calls zero reads as zeros.
///
/// # Panics
///
/// Where the image contradicts itself.
pub fn agrees_with_itself(image: &dyn Image) {
    let _ = image.describe();
    let mut next = 0;
    for _ in 0..MAX_WINDOWS {
        if next >= image.size() {
            break;
        }
        let end = image.size().min(next.saturating_add(WINDOW_LEN));
        let mut extents = Vec::new();
        let Ok(answered) = image.extents(next..end, EXTENTS_PER_WINDOW, &mut extents) else {
            next = end;
            continue;
        };
        extents.iter().take(READS_PER_WINDOW).for_each(|extent| check_extent(image, extent));
        next = answered;
    }
}

/// Asks for the middle of `extent` alone, and reads it whole and in parts.
fn check_extent(image: &dyn Image, extent: &Extent) {
    let start = extent.start + extent.len / 2;
    let range = start..extent.end().min(start + READ_LEN);
    let mut again = Vec::new();
    // A single byte that the map answered for a moment ago it answers for still.
    image.extents(range.clone(), 1, &mut again).expect("the map knew this before");
    assert_eq!(again[0], extent.clipped(&(start..again[0].end())), "the map depends on the window");

    let len = usize::try_from(range.end - range.start).expect("a read is short");
    let mut whole = vec![0xa5; len];
    let Ok(()) = image.read_at(&mut whole, start) else { return };
    assert!(!extent.is_zero() || is_zero(&whole), "{extent:?} is not zero");
    for at in [0, len / 3, len - 1] {
        let mut part = vec![0x5a; (len - at).min(513)];
        image.read_at(&mut part, start + at as u64).expect("this was read before");
        assert!(part == whole[at..at + part.len()], "a part of {extent:?} reads as something else");
    }
}

/// Windows of the map that are looked at.
const MAX_WINDOWS: usize = 64;
/// Guest bytes of a window: small ones would never get anywhere in a large disk.
const WINDOW_LEN: u64 = 64 << 20;
/// Extents asked for in one window.
const EXTENTS_PER_WINDOW: usize = 256;
/// Extents of a window that are read.
const READS_PER_WINDOW: usize = 8;
/// Bytes of a read.
const READ_LEN: u64 = 64 << 10;
