//! What is mended, and in which order: what is not there becomes zero, what is shared is parted, and then space is given
//! back.

use std::sync::Arc;

use imgfmt_core::{Medium, Result};

use super::plan::{Fault, Looked, Plan, Wrong};
use crate::disk::Disk;
use crate::header::Header;
use crate::layout::FREE;

/// Does all of it. Each step is on the medium before the next one begins.
pub(super) fn carry_out(medium: &Arc<dyn Medium>, looked: &Looked) -> Result<()> {
    let Some(plan) = &looked.plan else { return Ok(()) };
    if plan.mends_entries {
        complete(medium.as_ref(), plan)?;
    }
    let mut disk = Disk::new(Arc::clone(medium), plan.header.clone(), plan.used.clone())?;
    if plan.mends_entries {
        forget(&disk, plan)?;
        part(&mut disk, plan)?;
    }
    if plan.mends_count {
        disk.count()?;
    }
    if plan.compacts { disk.compact() } else { Ok(()) }
}

impl Plan {
    /// The entries with this fault.
    fn with(&self, fault: Fault) -> impl Iterator<Item = &Wrong> {
        self.wrong.iter().filter(move |wrong| wrong.fault == fault)
    }

    /// Whether the entry is of a block of the disk.
    fn is_of_disk(&self, wrong: &Wrong) -> bool {
        wrong.index < self.header.disk_blocks()
    }
}

/// Makes the file long enough for the block that was cut: what is not there of it is zero then.
fn complete(medium: &dyn Medium, plan: &Plan) -> Result<()> {
    let Some(block) = plan.with(Fault::Cut).map(|wrong| wrong.block).max() else { return Ok(()) };
    let end = plan.header.block_at(block + 1);
    if medium.len() < end {
        medium.set_len(end)?;
    }
    medium.sync()
}

/// Makes the entries of blocks that are not there say that they are zero; and those that are of no block of the disk, where
/// they name a block that another one has.
fn forget(disk: &Disk, plan: &Plan) -> Result<()> {
    let changes: Vec<_> = plan
        .wrong
        .iter()
        .filter(|wrong| wrong.fault == Fault::Outside || (wrong.fault == Fault::Twice && !plan.is_of_disk(wrong)))
        .map(|wrong| (wrong.index, if plan.is_of_disk(wrong) { plan.header.blank() } else { FREE }))
        .collect();
    disk.set_entries(&changes)?;
    disk.medium.sync()
}

/// Gives each block of the disk that is stored where another one is a copy of its own.
fn part(disk: &mut Disk, plan: &Plan) -> Result<()> {
    let shared: Vec<_> = plan.with(Fault::Twice).filter(|wrong| plan.is_of_disk(wrong)).collect();
    for some in shared.chunks(COPIES_AT_ONCE) {
        let places = disk.place(some.len())?;
        let moves: Vec<_> = some.iter().zip(places).map(|(wrong, to)| (wrong.index, wrong.block, to)).collect();
        disk.copy_blocks(&moves)?;
    }
    disk.medium.sync()
}

impl Disk {
    /// Makes the header count all blocks that are in use.
    fn count(&mut self) -> Result<()> {
        let header = Header { allocated: self.end()?, ..self.header.clone() };
        self.write_header(header)?;
        self.medium.sync()
    }
}

/// Blocks that are copied before the entries of all are written.
const COPIES_AT_ONCE: usize = 64;
