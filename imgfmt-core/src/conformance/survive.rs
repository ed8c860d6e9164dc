//! No bytes make a reader panic, hang, or use memory without bound.

use super::open_alone;
use crate::extent::Extent;
use crate::format::Format;
use crate::image::{Image, ImageExt};
use crate::probe::Head;
use crate::storage::MemoryStorage;

/// Does with `bytes`, which may be anything, what a service does with an upload: probes, opens, describes,
/// maps and reads. Errors are fine.
///
/// The harness of the fuzz targets and of the regression tests.
pub fn survive(format: &dyn Format, bytes: &[u8]) {
    let storage = MemoryStorage::new(bytes);
    if let Ok(head) = Head::read(&storage) {
        let _ = format.probe(&head);
    }
    let Ok(image) = open_alone(format, bytes) else { return };
    let _ = image.describe();
    let _ = map_some(&image);
    for offset in [0, image.size() / 2, image.size().saturating_sub(READ_LEN)] {
        let len = image.size().saturating_sub(offset).min(READ_LEN);
        let _ = image.read_at(&mut vec![0; usize::try_from(len).unwrap_or(0)], offset);
    }
}

/// Walks the map until it ends or has shown enough, and reads at the start of each of the first extents.
fn map_some(image: &dyn Image) -> crate::Result<()> {
    let mut extents: Vec<Extent> = Vec::new();
    let mut next = 0;
    for _ in 0..MAX_MAPS {
        if next >= image.size() {
            break;
        }
        extents.clear();
        next = image.extents(next..image.size(), EXTENTS_PER_MAP, &mut extents)?;
        for extent in extents.iter().take(READS_PER_MAP) {
            let len = usize::try_from(extent.len.min(4096)).unwrap_or(0);
            let _ = image.read_at(&mut vec![0; len], extent.start);
        }
    }
    Ok(())
}

/// Bytes of one read.
const READ_LEN: u64 = 256 << 10;
/// Calls of the map at most: more would show nothing but patience.
const MAX_MAPS: usize = 64;
/// Extents asked for in one call.
const EXTENTS_PER_MAP: usize = 256;
/// Reads after each call of the map.
const READS_PER_MAP: usize = 8;
