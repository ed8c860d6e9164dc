//! New refcount structures, counted from what uses clusters. The header names them when they are whole and on the medium;
//! until then the old ones count.

use imgfmt_core::{Result, Target};

use super::anew::{Anew, Visit};
use super::counts::{Counts, UNIT, UNIT_LEN};
use super::pass::{MAX_PASSES, too_many};
use super::references::References;
use super::stored::Stored;
use super::subject::Subject;
use crate::layout::REFCOUNT_TABLE_OFFSET_AT;

/// Writes new refcount structures that say how often clusters are used, and makes the header name them.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io); [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the table would be too
/// long.
pub(super) fn rebuild(
    subject: &Subject<'_>,
    references: &References,
    stored: &Stored<'_>,
    target: &dyn Target,
) -> Result<()> {
    let each = |visit: &mut Visit<'_>| each_count(subject, references, visit);
    let anew = Anew::plan(subject.cluster(), subject.width(), behind(subject, stored), &each)?;
    anew.write(&each, target)?;
    // Both fields lie in one sector, so that either the old structures count or the new ones.
    let fields = [&anew.host().to_be_bytes()[..], &anew.table_clusters().to_be_bytes()].concat();
    target.write_at(&fields, REFCOUNT_TABLE_OFFSET_AT as u64)?;
    target.sync()
}

/// The cluster behind the old structures, which have to stay until the new ones count.
fn behind(subject: &Subject<'_>, stored: &Stored<'_>) -> u64 {
    let header = &subject.header;
    let table = subject.region(header.refcount_table_offset, header.refcount_table_clusters << header.cluster.bits());
    let blocks = stored.blocks().map(|block| (block >> header.cluster.bits()) + 1).max();
    table.map_or(0, |range| range.end).max(blocks.unwrap_or(0)).max(1)
}

/// Calls `visit` with every cluster that is in use, the refcount structures apart, and with its refcount, in ascending order.
fn each_count(subject: &Subject<'_>, references: &References, visit: &mut Visit<'_>) -> Result<()> {
    let mut start = 0;
    for _ in 0..MAX_PASSES {
        let mut counts = Counts::new(start, subject.limits.metadata_bytes);
        references.count(subject, None, &mut counts)?;
        let mut unit = start / UNIT_LEN;
        while let Some(found) = counts.next_unit(unit) {
            let mut counted = [0; UNIT];
            counts.get_unit(found, &mut counted);
            for (cluster, count) in (found * UNIT_LEN..).zip(counted).filter(|(_, count)| *count > 0) {
                visit(cluster, count.min(subject.width().max()))?;
            }
            unit = found + 1;
        }
        start = counts.window().end;
        if start == u64::MAX {
            return Ok(());
        }
    }
    Err(too_many())
}
