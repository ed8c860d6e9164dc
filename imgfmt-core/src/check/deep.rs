//! The check that takes time: every compressed unit is decoded.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Finding, Findings, Severity};
use crate::convert::{Cancel, Progress};
use crate::extent::{Extent, ExtentKind};
use crate::image::{Image, ImageExt};
use crate::read::UnitReader;
use crate::{Error, ErrorKind, Result};

/// Decodes every compressed unit of the layer `image`, with that many threads, and tells `findings` of those that cannot
/// be decoded. Parts of the map that cannot be followed are left to [`walk`](super::walk()). After each unit, `progress` is called by
/// the thread that decoded it, and once more at the end.
///
/// # Errors
///
/// [`Cancelled`](ErrorKind::Cancelled).
pub fn deep(
    image: &dyn Image,
    threads: NonZeroUsize,
    cancel: &Cancel,
    progress: Option<&(dyn Fn(Progress) + Sync)>,
    findings: &mut Findings,
) -> Result<()> {
    let walk = Mutex::new(Walk { next: 0, pending: Vec::new() });
    let found = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                let mut reader = UnitReader::default();
                let mut buf = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    if cancel.is_cancelled() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    let Some(unit) = next_unit(image, &walk) else { break };
                    if let Some(finding) = decode(image, &unit, &mut reader, &mut buf) {
                        found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(finding);
                    }
                    if let Some(progress) = progress {
                        progress(Progress { done: unit.start + unit.len, size: image.size(), stored: 0 });
                    }
                }
            });
        }
    });
    if stop.into_inner() {
        return Err(Error::new(ErrorKind::Cancelled, "the check was cancelled"));
    }
    if let Some(progress) = progress {
        progress(Progress { done: image.size(), size: image.size(), stored: 0 });
    }
    let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.sort_by_key(|finding| finding.guest);
    found.into_iter().for_each(|finding| findings.push(finding));
    Ok(())
}

/// How far the walk over the map is.
struct Walk {
    /// The guest byte that the map is asked for next.
    next: u64,
    /// Compressed units found and not yet taken, the last one first.
    pending: Vec<Extent>,
}

/// The next compressed unit of `image`.
fn next_unit(image: &dyn Image, walk: &Mutex<Walk>) -> Option<Extent> {
    let mut walk = walk.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    while walk.pending.is_empty() && walk.next < image.size() {
        let mut extents = Vec::new();
        match image.extents(walk.next..image.size(), EXTENTS_AT_ONCE, &mut extents) {
            Ok(next) => walk.next = next,
            Err(_) => walk.next = walk.next.saturating_add(SKIP_LEN),
        }
        walk.pending = extents.into_iter().rev().filter(|e| matches!(e.kind, ExtentKind::Encoded(_))).collect();
    }
    walk.pending.pop()
}

/// Decodes one unit, and says what is wrong with it.
fn decode(image: &dyn Image, unit: &Extent, reader: &mut UnitReader, buf: &mut Vec<u8>) -> Option<Finding> {
    buf.resize(usize::try_from(unit.len).ok()?, 0);
    let error = reader.read_extent(image, unit, buf).err()?;
    let host = match unit.kind {
        ExtentKind::Encoded(encoded) => encoded.host,
        _ => 0,
    };
    let what = format!("a compressed unit cannot be decoded: {error}");
    Some(
        Finding::new("data-undecodable", Severity::Corruption, what)
            .at(error.offset().unwrap_or(host))
            .guest(unit.start),
    )
}

/// Extents asked for in one call.
const EXTENTS_AT_ONCE: usize = 1024;
/// Guest bytes left out where the map cannot be followed.
const SKIP_LEN: u64 = 64 << 10;
