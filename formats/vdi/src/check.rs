//! Looking for damage: the header, the block map, and the blocks that it names.

use std::sync::Arc;

use imgfmt_core::{
    Check, CheckStats, Error, Finding, Findings, Medium, OpenContext, Repair, Result, Severity, Storage, StorageExt,
};

use crate::header::{Header, ImageType};
use crate::layout::{ALLOCATED_AT, BLOCKS_AT, ENTRY_LEN, UUID_LINKAGE_AT, ZERO};
use crate::{NAME, Vdi};

impl Check for Vdi {
    fn check(
        &self,
        storage: Arc<dyn Storage>,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        check(storage.as_ref(), context, findings).map_err(|e| e.in_format(NAME))
    }

    fn repair(
        &self,
        _medium: Arc<dyn Medium>,
        _repair: Repair,
        _context: &OpenContext<'_>,
        _findings: &mut Findings,
    ) -> Result<CheckStats> {
        Err(Error::invalid("a VDI is checked, not repaired").in_format(NAME))
    }

    fn repairs(&self) -> Option<Repair> {
        None
    }
}

/// Looks at the image in `storage`.
fn check(storage: &dyn Storage, context: &OpenContext<'_>, findings: &mut Findings) -> Result<CheckStats> {
    context.without_snapshots()?;
    let header = Header::read(storage, context.limits)?;
    if header.kind == ImageType::Differencing && header.linkage.is_nil() {
        let what = "the image has a parent, but nothing says which";
        findings.push(Finding::new("vdi-parent-unknown", Severity::Warning, what).at(UUID_LINKAGE_AT as u64));
    }
    let end = header.map_offset + header.map_len();
    if end > storage.len() {
        let what = format!("the block map ends at byte {end}, but the file at byte {}", storage.len());
        findings.push(Finding::new("vdi-map-outside", Severity::Corruption, what).at(BLOCKS_AT as u64));
        return Ok(CheckStats { total_units: u64::from(header.blocks), ..CheckStats::default() });
    }
    let room = storage.len().saturating_sub(header.data_offset).div_ceil(header.stride());
    let Ok(len) = context.limits.table_len("blocks", room.div_ceil(8), 1) else {
        let what = "the file has room for too many blocks to look at them all";
        findings.push(Finding::new("vdi-map-unchecked", Severity::Unchecked, what).at(header.map_offset));
        return Ok(CheckStats { total_units: u64::from(header.blocks), ..CheckStats::default() });
    };
    let mut look = Look { storage, header: &header, room, named: vec![0; len], stats: CheckStats::default(), next: 0 };
    look.at_map(findings)?;
    look.at_unnamed(findings);
    Ok(look.stats)
}

/// A look at the blocks of an image.
struct Look<'a> {
    /// The file.
    storage: &'a dyn Storage,
    /// The header.
    header: &'a Header,
    /// Blocks that the file has room for; the last one may be cut.
    room: u64,
    /// A bit for each of them: whether an entry names it.
    named: Vec<u8>,
    /// What was counted.
    stats: CheckStats,
    /// The block of the file behind the last one that was named, in the order of the map.
    next: u64,
}

impl Look<'_> {
    /// Looks at each entry of the map.
    fn at_map(&mut self, findings: &mut Findings) -> Result<()> {
        let blocks = u64::from(self.header.blocks);
        self.stats.total_units = blocks;
        let mut first = 0;
        while first < blocks {
            let count = (blocks - first).min(ENTRIES_AT_ONCE);
            let at = self.header.map_offset + first * ENTRY_LEN;
            let bytes = self.storage.read_vec(at, usize::try_from(count * ENTRY_LEN).unwrap_or(usize::MAX))?;
            let (entries, _) = bytes.as_chunks::<4>();
            for (index, entry) in (first..).zip(entries) {
                let entry = u32::from_le_bytes(*entry);
                if entry < ZERO {
                    self.at_block(index, u64::from(entry), findings);
                }
            }
            first += count;
        }
        Ok(())
    }

    /// Looks at block `block` of the file, which entry `index` names.
    fn at_block(&mut self, index: u64, block: u64, findings: &mut Findings) {
        self.stats.allocated_units += 1;
        self.stats.fragmented_units += u64::from(block != self.next && self.stats.allocated_units > 1);
        self.next = block + 1;
        let guest = index * self.header.block_len;
        let at = self.header.map_offset + index * ENTRY_LEN;
        let mut tell = |id, what: String| {
            findings.push(Finding::new(id, Severity::Corruption, what).at(at).guest(guest));
        };
        // Of the last block of the disk, the file may lack what lies behind its end.
        let len = self.header.disk_size.saturating_sub(guest).min(self.header.block_len);
        let end = (self.header.data_offset + self.header.block_extra)
            .saturating_add(block.saturating_mul(self.header.stride()))
            .saturating_add(len);
        if end > self.storage.len() {
            return tell(
                "vdi-block-outside",
                format!("block {index} ends at byte {end}, but the file at byte {}", self.storage.len()),
            );
        }
        self.stats.image_end = self.stats.image_end.max(Some(end));
        let bit = 1 << (block % 8);
        let Some(byte) = usize::try_from(block / 8).ok().and_then(|at| self.named.get_mut(at)) else { return };
        if *byte & bit != 0 {
            return tell("vdi-block-twice", format!("block {index} is stored where another one is, in block {block}"));
        }
        *byte |= bit;
    }

    /// Looks for blocks of the file that no entry names, and at how many the header says there are.
    fn at_unnamed(&mut self, findings: &mut Findings) {
        let named = |block: u64| {
            let byte = usize::try_from(block / 8).ok().and_then(|at| self.named.get(at)).copied().unwrap_or(0);
            byte & (1 << (block % 8)) != 0
        };
        let counted = u64::from(self.header.allocated);
        let behind = (0..self.room).rev().find(|block| named(*block)).map_or(0, |last| last + 1);
        if counted < behind {
            let what = format!("cBlocksAllocated is {counted}: block {} will be written over", behind - 1);
            findings.push(Finding::new("vdi-allocated-count", Severity::Corruption, what).at(ALLOCATED_AT as u64));
        } else if counted > self.room {
            let what = format!("cBlocksAllocated is {counted}, but the file has room for {} blocks", self.room);
            findings.push(Finding::new("vdi-allocated-count", Severity::Warning, what).at(ALLOCATED_AT as u64));
        }
        for block in (0..self.room.min(counted.max(behind))).filter(|block| !named(*block)) {
            let at = self.header.data_offset + block * self.header.stride();
            let what = format!("no entry of the block map leads to block {block}");
            findings.push(Finding::new("vdi-block-unused", Severity::Leak, what).at(at));
        }
        self.stats.image_end = self.stats.image_end.max(Some(self.header.map_offset + self.header.map_len()));
    }
}

/// Entries that are read at once: 64 KiB of them.
const ENTRIES_AT_ONCE: u64 = 16_384;
