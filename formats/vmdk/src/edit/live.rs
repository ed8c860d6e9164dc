//! A reader of an image that is being edited.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::{Description, Encoded, Error, ExtentKind, ExtentSink, Image, Result, SourceId, Storage, read};

use super::grains::{Grain, Grains};
use super::state::{Content, State};
use crate::NAME;
use crate::layout::byte_of;

/// The layer as it is whenever it is asked.
pub(super) struct LiveImage {
    /// What is known of it.
    state: Arc<Mutex<State>>,
    /// Guest bytes when it was made.
    size: u64,
    /// The files.
    sources: Vec<Arc<dyn Storage>>,
    /// What was said about it when it was opened.
    description: Description,
}

impl LiveImage {
    /// A reader of what `known` is a look at.
    pub(super) fn new(state: Arc<Mutex<State>>, known: &State) -> Self {
        Self { state, size: known.size, sources: known.sources(), description: known.description.clone() }
    }
}

impl Image for LiveImage {
    fn size(&self) -> u64 {
        self.size
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        map(&mut state, range, sink).map_err(|e| e.in_format(NAME))
    }

    fn stored_body(&self, unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        let what = format!("no compressed grain starts at guest byte {unit_start}");
        Err(Error::malformed(what).in_format(NAME))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        read::through_map(self, buf, offset)
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }
}

/// Answers for `range`.
fn map(state: &mut State, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
    let absent = if state.has_parent { ExtentKind::Parent } else { ExtentKind::Zero { explicit: false } };
    let first = state.part_at(range.start);
    for part in state.parts.iter_mut().skip(first) {
        if sink.is_full() || part.start >= range.end {
            break;
        }
        let start = sink.rest().start.max(part.start);
        match &mut part.content {
            Content::Flat { medium, host } if start < part.start + part.size => {
                let source = SourceId(u32::try_from(*medium).unwrap_or(u32::MAX));
                sink.push(part.start, part.size, ExtentKind::Data { source, host: *host });
            }
            Content::Sparse(grains) => {
                let end = range.end.min(part.start + part.size);
                map_grains(grains, part.start, start..end, absent, sink)?;
            }
            Content::Flat { .. } => {}
        }
    }
    // What has been cut off since.
    let rest = sink.rest();
    if !sink.is_full() && rest.start >= state.size {
        sink.push(rest.start, rest.end - rest.start, ExtentKind::Zero { explicit: false });
    }
    Ok(())
}

/// Answers for the guest bytes of `range` from the grains of the extent that starts at guest byte `first`.
fn map_grains(
    grains: &mut Grains,
    first: u64,
    range: Range<u64>,
    absent: ExtentKind,
    sink: &mut ExtentSink<'_>,
) -> Result<()> {
    let per_table = u64::from(grains.header.gtes_per_gt);
    let mut at = range.start;
    while at < range.end && !sink.is_full() {
        let grain = (at - first) / grains.header.grain_len();
        let index = grain / per_table;
        if grains.is_empty_table(index) {
            let start = index * per_table * grains.header.grain_len();
            let end = (start + per_table * grains.header.grain_len()).min(grains.size);
            sink.push(first + start, end - start, absent);
            at = first + end;
            continue;
        }
        let run = grains.absent_run(grain)?;
        if run > 0 {
            let (start, end) = (grains.range_of(grain).start, grains.range_of(grain + run - 1).end);
            sink.push(first + start, end - start, absent);
            at = first + end;
            continue;
        }
        let whole = grains.range_of(grain);
        let kind = match grains.get(grain)? {
            Grain::Absent => absent,
            Grain::Zeroed => ExtentKind::Zero { explicit: true },
            Grain::Stored(sector) => ExtentKind::Data { source: grains.source, host: byte_of(u64::from(sector)) },
        };
        sink.push(first + whole.start, whole.end - whole.start, kind);
        at = first + whole.end;
    }
    Ok(())
}
