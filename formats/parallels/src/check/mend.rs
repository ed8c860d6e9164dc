//! What is mended, and in which order: what is not there becomes zero, what is shared is parted, then space is given back, and
//! in the end the image is closed. Each step is on the medium before the next one begins.

use imgfmt_core::{Medium, Result, StorageExt};

use super::plan::{Fault, Looked, Plan, Wrong};
use crate::header::{Header, entry_at};
use crate::layout::{DATA_OFFSET_AT, IN_USE_AT, SECTOR_LEN};

/// Does all of it.
pub(super) fn carry_out(medium: &dyn Medium, looked: &Looked) -> Result<()> {
    let Some(plan) = &looked.plan else { return Ok(()) };
    let mut end = plan.end;
    if !plan.wrong.is_empty() {
        forget(medium, plan)?;
        complete(medium, plan)?;
        end = part(medium, plan)?;
    }
    if let Some(sectors) = plan.data_offset {
        // QEMU wants that byte to be in the file, also where there is no cluster.
        let start = u64::from(sectors) * SECTOR_LEN;
        if medium.len() < start {
            medium.set_len(start)?;
            medium.sync()?;
        }
        medium.write_at(&sectors.to_le_bytes(), DATA_OFFSET_AT as u64)?;
        medium.sync()?;
    }
    if plan.cuts_file {
        medium.set_len(end)?;
        medium.sync()?;
    }
    if plan.closes {
        medium.write_at(&0_u32.to_le_bytes(), IN_USE_AT as u64)?;
        medium.sync()?;
    }
    Ok(())
}

impl Plan {
    /// Whether the entry is of a cluster of the disk.
    fn is_of_disk(&self, wrong: &Wrong) -> bool {
        wrong.index < self.header.disk_clusters()
    }
}

/// Clears the entries of clusters that are not there; and those that are of no cluster of the disk, where another cluster is.
fn forget(medium: &dyn Medium, plan: &Plan) -> Result<()> {
    for wrong in &plan.wrong {
        let is_forgotten = match wrong.fault {
            Fault::InBat | Fault::Outside => true,
            Fault::Twice => !plan.is_of_disk(wrong),
            Fault::Cut | Fault::Overlaps => false,
        };
        if is_forgotten {
            medium.write_at(&0_u32.to_le_bytes(), entry_at(wrong.index))?;
        }
    }
    medium.sync()
}

/// Makes the file long enough for the cluster that was cut, or that is copied: what is not there of it is zero then.
fn complete(medium: &dyn Medium, plan: &Plan) -> Result<()> {
    if medium.len() < plan.end && plan.wrong.iter().any(|wrong| matches!(wrong.fault, Fault::Cut | Fault::Twice)) {
        medium.set_len(plan.end)?;
        medium.sync()?;
    }
    Ok(())
}

/// Gives each cluster of the disk that is stored where another one is a copy of its own; returns where the last one ends.
fn part(medium: &dyn Medium, plan: &Plan) -> Result<u64> {
    let mut end = plan.end;
    if plan.header.extension != 0 {
        // What lies behind the last cluster may be the extension's.
        end = end.max(medium.len().next_multiple_of(plan.header.cluster_len()));
    }
    for wrong in plan.wrong.iter().filter(|wrong| wrong.fault == Fault::Twice && plan.is_of_disk(wrong)) {
        let to = end;
        end += plan.header.cluster_len();
        let entry = plan.header.entry(to)?;
        copy(medium, &plan.header, wrong.host, to)?;
        medium.sync()?;
        medium.write_at(&entry.to_le_bytes(), entry_at(wrong.index))?;
    }
    medium.sync()?;
    Ok(end)
}

/// Copies the cluster at byte `from` to byte `to`, to which nothing leads. What the file lacks of it is zero.
fn copy(medium: &dyn Medium, header: &Header, from: u64, to: u64) -> Result<()> {
    let end = to + header.cluster_len();
    if medium.len() < end {
        medium.set_len(end)?;
    }
    let mut done = 0;
    while done < header.cluster_len() {
        let len = COPY_LEN.min(header.cluster_len() - done);
        let bytes = medium.read_vec(from + done, usize::try_from(len).unwrap_or(usize::MAX))?;
        if bytes.iter().all(|byte| *byte == 0) {
            medium.clear(to + done..to + done + len)?;
        } else {
            medium.write_at(&bytes, to + done)?;
        }
        done += len;
    }
    Ok(())
}

/// Bytes that are copied at once.
const COPY_LEN: u64 = 1 << 20;
