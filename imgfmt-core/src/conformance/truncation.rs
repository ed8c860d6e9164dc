//! A truncated file is an error or the same bytes.

use super::disks::Noise;
use super::{Kit, open_alone};
use crate::image::Image;
use crate::{ErrorKind, Result};

/// Cuts the valid image `bytes`, whose disk is `guest`, at many lengths and opens each.
///
/// # Panics
///
/// Where a truncated file gives other bytes without an error.
pub fn check_truncations(kit: &Kit<'_>, bytes: &[u8], guest: &[u8], name: &str) {
    for len in lengths(bytes.len()) {
        match read_truncated(kit, &bytes[..len], guest.len()) {
            Ok(read) => assert!(read == guest, "{name}: cut to {len} of {} bytes, it gives another disk", bytes.len()),
            Err(error) => assert_ne!(error.kind(), ErrorKind::Invalid, "{name}: cut to {len}: {error}"),
        }
    }
}

/// The disk of a truncated image, or the error that says that it is truncated.
fn read_truncated(kit: &Kit<'_>, bytes: &[u8], size: usize) -> Result<Vec<u8>> {
    let image = open_alone(kit.format, bytes)?;
    let mut guest = vec![0xa5; usize::try_from(image.size()).unwrap_or(0).min(size + 1)];
    image.read_at(&mut guest, 0)?;
    Ok(guest)
}

/// Lengths to cut to: many near the ends, around sector boundaries, and some at random.
fn lengths(len: usize) -> Vec<usize> {
    let mut lengths: Vec<usize> = (0..len.min(128)).step_by(5).collect();
    lengths.extend(len.saturating_sub(16)..len);
    let step = (len / 24).next_multiple_of(512).max(512);
    for boundary in (0..len).step_by(step) {
        lengths.extend([boundary.saturating_sub(1), boundary, boundary + 1].into_iter().filter(|&at| at < len));
    }
    let mut noise = Noise(len as u64 | 1);
    lengths.extend((0..16).filter_map(|_| usize::try_from(noise.below(len.max(1) as u64)).ok()));
    lengths
}
