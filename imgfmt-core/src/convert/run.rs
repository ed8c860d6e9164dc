//! Compressed units that are read at once.

use std::ops::Range;

use super::buffers::in_memory;
use crate::aligned::AlignedBuf;
use crate::extent::{Extent, ExtentKind, SourceId};
use crate::image::Image;
use crate::read::{source_of, stored_len};
use crate::{Error, Result};

/// Compressed units that lie near each other and are read at once.
pub(super) struct EncodedRun {
    /// Where they are stored.
    pub(super) source: SourceId,
    /// First host byte.
    pub(super) host: u64,
    /// Host bytes.
    len: usize,
    /// How many units.
    pub(super) count: usize,
}

impl EncodedRun {
    /// The longest run at the start of `extents`, of which the first is encoded.
    pub(super) fn at_start_of(image: &dyn Image, extents: &[Extent]) -> Result<Self> {
        let mut run: Option<Self> = None;
        for extent in extents {
            let ExtentKind::Encoded(unit) = extent.kind else {
                break;
            };
            let len = stored_len(source_of(image, unit.source)?.as_ref(), &unit)?;
            match &mut run {
                None => run = Some(Self { source: unit.source, host: unit.host, len, count: 1 }),
                Some(run) => {
                    let near = unit.source == run.source
                        && unit.host >= run.host
                        && unit.host <= run.host + (run.len + MAX_GAP) as u64;
                    let end = in_memory(unit.host.saturating_sub(run.host)).saturating_add(len);
                    if !near || end > MAX_RUN {
                        break;
                    }
                    run.len = run.len.max(end);
                    run.count += 1;
                }
            }
        }
        run.ok_or_else(|| Error::malformed("a run of compressed units is empty"))
    }

    /// Reads the run behind the first `used` bytes of `buffer` and returns where it lies there.
    pub(super) fn read(&self, image: &dyn Image, buffer: &mut AlignedBuf, used: &mut usize) -> Result<Range<usize>> {
        let place = *used..*used + self.len;
        buffer.grow(place.end);
        source_of(image, self.source)?.read_at(&mut buffer[place.clone()], self.host)?;
        *used = place.end;
        Ok(place)
    }
}

/// Largest gap between two units that are read at once, in bytes.
const MAX_GAP: usize = 64 << 10;
/// Longest run that is read at once, in bytes, unless a single unit is longer.
const MAX_RUN: usize = 4 << 20;
