//! The look at an image.

use imgfmt_core::{CheckStats, Finding, Findings, OpenContext, Repair, Result, Severity, Storage};

use super::plan::{Fault, Looked, Plan, Wrong};
use crate::disk::can_change;
use crate::entries;
use crate::header::{Header, ImageType};
use crate::layout::{ALLOCATED_AT, BLOCKS_AT, ENTRY_LEN, UUID_LINKAGE_AT};
use crate::used::Used;

/// Looks at the image in `storage`; what `allowed` mends is told as mended.
pub(super) fn look(
    storage: &dyn Storage,
    context: &OpenContext<'_>,
    allowed: Option<Repair>,
    findings: &mut Findings,
) -> Result<Looked> {
    context.without_snapshots()?;
    let header = Header::read(storage, context.limits)?;
    if header.kind == ImageType::Differencing && header.linkage.is_nil() {
        let what = "the image has a parent, but nothing says which";
        findings.push(Finding::new("vdi-parent-unknown", Severity::Warning, what).at(UUID_LINKAGE_AT as u64));
    }
    let counted = CheckStats { total_units: u64::from(header.blocks), ..CheckStats::default() };
    let end = header.map_offset + header.map_len();
    if end > storage.len() {
        let what = format!("the block map ends at byte {end}, but the file at byte {}", storage.len());
        findings.push(Finding::new("vdi-map-outside", Severity::Corruption, what).at(BLOCKS_AT as u64));
        return Ok(Looked { stats: counted, plan: None });
    }
    let room = storage.len().saturating_sub(header.data_offset).div_ceil(header.stride());
    if context.limits.table_len("blocks", room.div_ceil(8), 1).is_err() {
        let what = "the file has room for too many blocks to look at them all";
        findings.push(Finding::new("vdi-map-unchecked", Severity::Unchecked, what).at(header.map_offset));
        return Ok(Looked { stats: counted, plan: None });
    }
    let mut look = Look {
        storage,
        header: &header,
        room,
        used: Used::default(),
        wrong: Vec::new(),
        too_many: false,
        stats: counted,
        next: 0,
    };
    look.at_map(findings)?;
    Ok(look.conclude(allowed, findings))
}

/// A look at the blocks of an image.
struct Look<'a> {
    /// The file.
    storage: &'a dyn Storage,
    /// The header.
    header: &'a Header,
    /// Blocks that the file has room for; the last one may be cut.
    room: u64,
    /// The blocks that entries name, and that are there, if only in part.
    used: Used,
    /// The entries that are wrong.
    wrong: Vec<Wrong>,
    /// Whether there are more of them than are remembered: then none is mended.
    too_many: bool,
    /// What was counted.
    stats: CheckStats,
    /// The block of the file behind the last one that was named, in the order of the map.
    next: u64,
}

impl Look<'_> {
    /// Looks at each entry of the map.
    fn at_map(&mut self, findings: &mut Findings) -> Result<()> {
        let blocks = 0..u64::from(self.header.blocks);
        entries::each_stored(self.storage, self.header, blocks, &mut |index, block| {
            if let Some(fault) = self.fault_of(index, block) {
                let wrong = Wrong { index, block, fault };
                if self.wrong.len() < MAX_MENDED {
                    self.wrong.push(wrong);
                } else {
                    self.too_many = true;
                    findings.push(self.finding(wrong));
                }
            }
            Ok(())
        })
    }

    /// What is wrong with entry `index`, which names block `block` of the file.
    fn fault_of(&mut self, index: u64, block: u64) -> Option<Fault> {
        self.stats.allocated_units += 1;
        self.stats.fragmented_units += u64::from(block != self.next && self.stats.allocated_units > 1);
        self.next = block + 1;
        let start = self.header.block_at(block).saturating_add(self.header.block_extra);
        // Of the last block of the disk, the file may lack what lies behind its end.
        let end = start.saturating_add(self.header.stored_len(index));
        let is_whole = end <= self.storage.len();
        if !is_whole && start >= self.storage.len() {
            return Some(Fault::Outside);
        }
        if is_whole {
            self.stats.image_end = self.stats.image_end.max(Some(end));
        }
        match self.used.insert(block) {
            false => Some(Fault::Twice),
            true => (!is_whole).then_some(Fault::Cut),
        }
    }

    /// What is told of an entry that is wrong.
    fn finding(&self, wrong: Wrong) -> Finding {
        let at = self.header.map_offset + wrong.index * ENTRY_LEN;
        wrong.finding(self.header, self.storage.len(), at)
    }

    /// Tells of everything, and says what is to be mended.
    fn conclude(mut self, allowed: Option<Repair>, findings: &mut Findings) -> Looked {
        let can_change = can_change(self.header);
        let twice = self.wrong.iter().filter(|wrong| wrong.fault == Fault::Twice).count() as u64;
        // Entries that name the same blocks over and over are no accident, and copies of them would fill the disk.
        let is_mended = can_change && !self.too_many && twice <= self.room;
        let mut mends_entries = false;
        for wrong in &self.wrong {
            let least = is_mended.then_some(Repair::All);
            mends_entries |= findings.push_mended(self.finding(*wrong), least, allowed);
        }
        // Of a block that is not whole, too, nothing may be moved before it is.
        let is_sound = self.wrong.is_empty() && !self.too_many;
        let is_short = u64::from(self.header.allocated) < self.used.end();
        let least = match (is_sound, is_short) {
            (true, false) => Some(Repair::Leaks),
            (true, true) => Some(Repair::All),
            (false, _) => is_mended.then_some(Repair::All),
        };
        let least = least.filter(|_| can_change);
        let mends_count = self.at_count(least, allowed, findings);
        let compacts = self.at_unnamed(least, allowed, findings) || (mends_count && !is_short);
        self.stats.image_end = self.stats.image_end.max(Some(self.header.map_offset + self.header.map_len()));
        let plan = Plan {
            header: self.header.clone(),
            used: self.used,
            wrong: self.wrong,
            mends_entries,
            mends_count: mends_count && is_short,
            compacts,
        };
        let is_empty = !(plan.mends_entries || plan.mends_count || plan.compacts);
        Looked { stats: self.stats, plan: (!is_empty).then_some(plan) }
    }

    /// Looks at how many blocks the header says there are; returns whether that is mended.
    fn at_count(&self, least: Option<Repair>, allowed: Option<Repair>, findings: &mut Findings) -> bool {
        let (counted, behind) = (u64::from(self.header.allocated), self.used.end());
        let finding = if counted < behind {
            let what = format!("cBlocksAllocated is {counted}: block {} will be written over", behind - 1);
            Finding::new("vdi-allocated-count", Severity::Corruption, what)
        } else if counted > self.room.max(behind) {
            let what = format!("cBlocksAllocated is {counted}, but the file has room for {} blocks", self.room);
            Finding::new("vdi-allocated-count", Severity::Leak, what)
        } else {
            return false;
        };
        findings.push_mended(finding.at(ALLOCATED_AT as u64), least, allowed)
    }

    /// Looks for blocks of the file that no entry names; returns whether there are any, and they are mended.
    fn at_unnamed(&self, least: Option<Repair>, allowed: Option<Repair>, findings: &mut Findings) -> bool {
        let mut mends = false;
        let end = self.room.min(self.used.end().max(u64::from(self.header.allocated)));
        for block in self.used.holes(0..end) {
            let what = format!("no entry of the block map leads to block {block}");
            let finding = Finding::new("vdi-block-unused", Severity::Leak, what).at(self.header.block_at(block));
            mends |= findings.push_mended(finding, least, allowed);
        }
        mends
    }
}

/// Entries that are wrong and are mended, at most.
const MAX_MENDED: usize = 1 << 16;
