//! Clusters that nothing uses.

use std::ops::Range;

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::{Limits, OpenContext, Result, Storage, StorageExt, Vacant};

use super::width::RefcountWidth;
use crate::header::Header;
use crate::layout::{OFFSET_MASK, TABLE_ENTRY_LEN};
use crate::{NAME, Qcow2};

impl Vacant for Qcow2 {
    fn vacant(
        &self,
        storage: &dyn Storage,
        context: &OpenContext<'_>,
        visit: &mut dyn FnMut(Range<u64>) -> Result<()>,
    ) -> Result<()> {
        visit_unused(storage, context.limits, visit).map_err(|e| e.in_format(NAME))
    }
}

/// Calls `visit` with the runs of clusters whose refcount is 0, up to the end of the file.
fn visit_unused(storage: &dyn Storage, limits: &Limits, visit: &mut dyn FnMut(Range<u64>) -> Result<()>) -> Result<()> {
    let header = Header::read(storage, limits)?;
    let width = RefcountWidth::new(header.refcount_order);
    let (len, per_block) = (header.cluster.len(), width.per_block(header.cluster));
    let entries = header.refcount_table_clusters * len / TABLE_ENTRY_LEN;
    let mut table = vec![0; limits.table_len("refcount_table_clusters", entries, TABLE_ENTRY_LEN)?];
    storage.read_at(&mut table, header.refcount_table_offset)?;
    let clusters = storage.len().div_ceil(len);
    let mut block = vec![0; header.cluster.in_memory()];
    let mut run = 0..0;
    for (index, start) in (0..clusters).step_by(usize::try_from(per_block).unwrap_or(usize::MAX)).enumerate() {
        let entry = table.get(index * 8..index * 8 + 8).map_or(0, BigEndian::read_u64) & OFFSET_MASK;
        match entry {
            // What has no refcount block is not used.
            0 => block.fill(0),
            host => drop(storage.read_padded(&mut block, host)?),
        }
        for cluster in start..(start + per_block).min(clusters) {
            let number = usize::try_from(cluster - start).unwrap_or(usize::MAX);
            if width.get(&block, number) != 0 {
                continue;
            }
            if run.end != cluster {
                give(run, len, visit)?;
                run = cluster..cluster;
            }
            run.end = cluster + 1;
        }
    }
    give(run, len, visit)
}

/// Calls `visit` with a run of clusters of `len` bytes, if it is one.
fn give(run: Range<u64>, len: u64, visit: &mut dyn FnMut(Range<u64>) -> Result<()>) -> Result<()> {
    if run.is_empty() { Ok(()) } else { visit(run.start * len..run.end * len) }
}
