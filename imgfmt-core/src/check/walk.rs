//! The check that every image can have: its map, followed to the end.

use super::{Finding, Findings, Severity};
use crate::Result;
use crate::extent::{Extent, ExtentKind};
use crate::image::{Image, ImageExt};

/// Walks the whole map of `image`, and tells `findings` where it cannot be followed or leads outside of the files.
///
/// Where a window of the map cannot be answered, the walk goes on behind the smallest part that cannot be.
///
/// # Errors
///
/// None of its own; as a check, so that it reads like the others.
pub fn walk(image: &dyn Image, findings: &mut Findings) -> Result<()> {
    let mut extents = Vec::new();
    let (mut next, mut step, mut told) = (0, image.size(), 0);
    while next < image.size() && told < MAX_BREAKS {
        extents.clear();
        let end = next.saturating_add(step).min(image.size());
        match image.extents(next..end, EXTENTS_AT_ONCE, &mut extents) {
            Ok(reached) => {
                extents.iter().filter_map(|extent| outside(image, extent)).for_each(|finding| findings.push(finding));
                next = reached;
                step = step.saturating_mul(2);
            }
            // The part that cannot be answered is narrowed down, so that all around it is looked at.
            Err(_) if step > MIN_STEP => step = (end - next).div_ceil(2).max(MIN_STEP).min(step - 1),
            Err(error) => {
                let what = format!("the map cannot be followed: {error}");
                let finding = Finding::new("map-broken", Severity::Corruption, what).guest(next);
                findings.push(match error.offset() {
                    Some(offset) => finding.at(offset),
                    None => finding,
                });
                told += 1;
                next = end;
            }
        }
    }
    if told >= MAX_BREAKS {
        let what = "the map is broken in too many places to look at the rest of it";
        findings.push(Finding::new("map-unchecked", Severity::Unchecked, what).guest(next));
    }
    Ok(())
}

/// What is wrong with where `extent` is stored.
fn outside(image: &dyn Image, extent: &Extent) -> Option<Finding> {
    let (source, host, len) = match extent.kind {
        ExtentKind::Data { source, host } => (source, host, extent.len),
        ExtentKind::Encoded(unit) => (unit.source, unit.host, 1),
        _ => return None,
    };
    let file = image.sources().get(source.0 as usize).map_or(0, |source| source.len());
    if host.checked_add(len).is_some_and(|end| end <= file) {
        return None;
    }
    let what = format!("{len} bytes are said to be stored here, but the file ends at byte {file}");
    Some(Finding::new("data-outside", Severity::Corruption, what).at(host).guest(extent.start))
}

/// Extents asked for in one call.
const EXTENTS_AT_ONCE: usize = 4096;
/// Smallest part of the map that is asked for: 512 bytes.
const MIN_STEP: u64 = 512;
/// Breaks that are told of at most: each costs a search.
const MAX_BREAKS: u64 = 1000;
