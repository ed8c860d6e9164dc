//! Contracts of readers.

use std::path::Path;

use super::disks::Noise;
use super::{Kit, check_truncations, open};
use crate::extent::{Encoded, Extent, ExtentKind};
use crate::gate::Beneath;
use crate::image::{Image, ImageExt};
use crate::info::ByteCounts;

/// Checks every sample in `folder`.
///
/// # Panics
///
/// Where a contract is broken, or the folder is there and has no sample.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
pub fn check_samples(kit: &Kit<'_>, folder: &Path) {
    let Ok(entries) = folder.read_dir() else {
        eprintln!("skipped: no samples in {}", folder.display());
        return;
    };
    let mut seen = 0;
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        seen += 1;
        // Samples that need another file have tests of their own.
        let Ok(image) = open(kit.format, &bytes, &Beneath::new()) else { continue };
        check_image(&image, None, &path.display().to_string());
        if kit.size_is_stored && image.size() <= MAX_CUT_READ {
            check_truncations(kit, &bytes, &read_all(&image), &path.display().to_string());
        }
    }
    assert!(seen > 0, "{} has no samples", folder.display());
}

/// Checks the map and the reads of `image`, and its bytes where they are given.
///
/// # Panics
///
/// Where a contract is broken; `name` says of what.
pub fn check_image(image: &dyn Image, expected: Option<&[u8]>, name: &str) {
    let whole = joined_extents(image, image.size().max(1), usize::MAX);
    check_tiling(&whole, image.size(), name);
    let mut noise = Noise(image.size() | 1);
    for window in [512, 65_536, 1 << 20, noise.below(3 << 20) | 1] {
        // Small windows on large disks would take for ever and show nothing new.
        let window = window.max(image.size() / 4096);
        assert_eq!(
            joined_extents(image, window, usize::MAX),
            whole,
            "{name}: the map changes with windows of {window}"
        );
    }
    assert_eq!(joined_extents(image, u64::MAX, 3), whole, "{name}: the map changes with the room in the sink");
    check_counts(image, &whole, name);
    check_reads(image, &whole, expected, &mut noise, name);
}

/// All guest bytes of `image`, by single reads.
///
/// # Panics
///
/// Where they cannot be read.
#[must_use]
pub fn read_all(image: &dyn Image) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(image.size()).expect("a test disk fits into memory")];
    for (index, part) in bytes.chunks_mut(READ_LEN).enumerate() {
        image.read_at(part, (index * READ_LEN) as u64).expect("a valid image can be read");
    }
    bytes
}

/// The extents of the whole disk, asked for in windows of `window` bytes and at most `max` at once, joined.
fn joined_extents(image: &dyn Image, window: u64, max: usize) -> Vec<Extent> {
    let mut joined: Vec<Extent> = Vec::new();
    let mut next = 0;
    while next < image.size() {
        let end = next.saturating_add(window).min(image.size());
        let mut extents = Vec::new();
        next = image.extents(next..end, max, &mut extents).expect("a valid image has a map");
        for extent in extents {
            match joined.last_mut() {
                Some(last) if continues(last, &extent) => last.len += extent.len,
                _ => joined.push(extent),
            }
        }
    }
    joined
}

/// Whether `next` is the same run as `last`, cut by a window.
fn continues(last: &Extent, next: &Extent) -> bool {
    if last.layer != next.layer || last.end() != next.start {
        return false;
    }
    match (last.kind, next.kind) {
        (ExtentKind::Data { source: a, host }, ExtentKind::Data { source: b, host: after }) => {
            a == b && host + last.len == after
        }
        (ExtentKind::Encoded(a), ExtentKind::Encoded(b)) => {
            u64::from(a.skip) + last.len == u64::from(b.skip) && Encoded { skip: 0, ..a } == Encoded { skip: 0, ..b }
        }
        (a, b) => a == b,
    }
}

/// Checks that extents ascend, touch, and cover the disk.
fn check_tiling(extents: &[Extent], size: u64, name: &str) {
    let mut next = 0;
    for extent in extents {
        assert_eq!(extent.start, next, "{name}: an extent does not touch the one before");
        assert_ne!(extent.len, 0, "{name}: an extent is empty");
        next = extent.end();
    }
    assert_eq!(next, size, "{name}: extents do not end with the disk");
}

/// Checks that the counts add up to the disk.
fn check_counts(image: &dyn Image, extents: &[Extent], name: &str) {
    let counts = ByteCounts::of(image).expect("a valid image has a map");
    let sum = counts.allocated() + counts.zero + counts.absent + counts.parent;
    assert_eq!(sum, image.size(), "{name}: bytes are counted twice or not at all");
    let zero: u64 = extents.iter().filter(|extent| extent.is_zero()).map(|extent| extent.len).sum();
    assert_eq!(zero, counts.zero + counts.absent, "{name}");
}

/// Checks reads at many places against each other, the map, and the expected bytes.
fn check_reads(image: &dyn Image, extents: &[Extent], expected: Option<&[u8]>, noise: &mut Noise, name: &str) {
    if image.size() == 0 {
        return;
    }
    let own;
    let expected = match expected {
        Some(expected) => {
            assert_eq!(image.size(), expected.len() as u64, "{name}: the disk has another size");
            Some(expected)
        }
        None if image.size() <= MAX_WHOLE_READ => {
            own = read_all(image);
            Some(own.as_slice())
        }
        None => None,
    };
    for round in 0..RANDOM_READS {
        let offset = noise.below(image.size());
        let len = noise.below(if round % 2 == 0 { 200_000 } else { 700 }).min(image.size() - offset);
        let mut part = vec![0xa5; usize::try_from(len).expect("a read is short")];
        image.read_at(&mut part, offset).expect("a valid image can be read anywhere");
        if let Some(expected) = expected {
            let start = usize::try_from(offset).expect("it is in memory");
            assert!(part == expected[start..start + part.len()], "{name}: {len} bytes from {offset} on differ");
        }
    }
    if let Some(expected) = expected {
        assert!(read_all(image) == expected, "{name}: the bytes differ");
        for extent in extents.iter().filter(|extent| extent.is_zero()) {
            let range =
                usize::try_from(extent.start).expect("in memory")..usize::try_from(extent.end()).expect("in memory");
            assert!(crate::convert::is_zero(&expected[range]), "{name}: {extent:?} is not zero");
        }
    }
    assert!(image.read_at(&mut [0], image.size()).is_err(), "{name}: a byte behind the end can be read");
}

/// Bytes of one read of many.
const READ_LEN: usize = 1 << 20;
/// Largest disk that is read whole, in bytes.
const MAX_WHOLE_READ: u64 = 128 << 20;
/// Largest disk that is read again and again, from a file that is cut at many lengths, in bytes.
const MAX_CUT_READ: u64 = 8 << 20;
/// Reads at random places.
const RANDOM_READS: usize = 60;
