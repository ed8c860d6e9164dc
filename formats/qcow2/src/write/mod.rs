//! Writing a new image in one pass.
//!
//! The header's cluster and the L1 table come first. Data follows in guest order; each L2 table lies where the first
//! of its clusters was placed, and each refcount block where its counts became final. The refcount
//! table comes last. The header is written at the very end, so that a file which was left half-way is not an image.

mod allocate;
mod header;
mod settings;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{CreateRequest, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use crate::layout;
use allocate::{Allocator, Table};
pub(crate) use settings::OPTIONS;
use settings::{Preallocation, Settings};

/// Writes a new image.
pub(crate) struct Qcow2Writer {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What it is to be.
    settings: Settings,
    /// Whether what is not written reads as zeros.
    target_is_zero: bool,
    /// What changes from piece to piece.
    state: Mutex<State>,
}

/// What changes from piece to piece.
struct State {
    /// Gives out host clusters.
    allocator: Allocator,
    /// The L1 table.
    l1: Vec<u64>,
    /// Host offset of the L1 table.
    l1_host: u64,
    /// The L2 table of the last piece.
    l2: Option<L2Table>,
    /// Tables that are complete and wait to be written.
    to_write: Vec<Table>,
}

/// An L2 table in the making.
struct L2Table {
    /// Its index in the L1 table.
    index: u64,
    /// Its host offset.
    host: u64,
    /// Its entries.
    entries: Vec<u64>,
}

impl Qcow2Writer {
    /// Starts an image.
    pub(crate) fn new(target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Self> {
        let settings = Settings::new(request)?;
        if !request.target_is_zero {
            target.set_len(0)?;
        }
        let mut allocator = Allocator::new(settings.cluster_bits, settings.refcount_order);
        allocator.clusters(1)?;
        // A disk without a byte has no L1 table, and a cluster for it would leak.
        let l1_clusters = (settings.l1_entries() * 8).div_ceil(settings.cluster_len());
        let l1_host = if l1_clusters == 0 { 0 } else { allocator.clusters(l1_clusters)? };
        let l1 = vec![0; usize::try_from(settings.l1_entries()).unwrap_or(usize::MAX)];
        let state = State { allocator, l1, l1_host, l2: None, to_write: Vec::new() };
        Ok(Self { target, settings, target_is_zero: request.target_is_zero, state: Mutex::new(state) })
    }

    /// The state; a panic elsewhere stops the conversion, so what it left is not used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes tables that are complete.
    fn write_tables(&self, tables: Vec<Table>) -> Result<()> {
        tables.iter().try_for_each(|table| self.target.write_at(&table.bytes, table.host))
    }

    /// The clusters of `piece` that lie in the first L2 table it touches: index of the table, first slot, count.
    fn slots(&self, piece: &Piece) -> (u64, usize, u64) {
        let first = piece.guest >> self.settings.cluster_bits;
        let per_table = self.settings.l2_entries();
        let clusters = piece.len.div_ceil(self.settings.cluster_len());
        let slot = first % per_table;
        (first / per_table, usize::try_from(slot).unwrap_or(usize::MAX), clusters.min(per_table - slot))
    }

    /// Gives the clusters of a plain piece their place; those of one L2 table at a time.
    fn place_plain(&self, state: &mut State, piece: &Piece) -> Result<Placed> {
        let (table, slot, count) = self.slots(piece);
        state.open_table(table, &self.settings)?;
        let host = state.allocator.clusters(count)?;
        for (index, entry) in (0..count).zip(state.entries(slot)) {
            *entry = layout::COPIED | (host + (index << self.settings.cluster_bits));
        }
        Ok(self.placed(piece, host, count))
    }

    /// Gives a compressed unit its place.
    fn place_encoded(&self, state: &mut State, piece: &Piece, len: u32) -> Result<Placed> {
        let (table, slot, _) = self.slots(piece);
        state.open_table(table, &self.settings)?;
        let host = state.allocator.bytes(u64::from(len))?;
        let entry = compressed_entry(host, len, self.settings.cluster_bits);
        state.entries(slot).take(1).for_each(|slot| *slot = entry);
        Ok(self.placed(piece, host, 1))
    }

    /// Does for zeros what the settings ask for: nothing, a flag, or clusters that nothing is written to.
    fn place_zero(&self, state: &mut State, piece: &Piece) -> Result<Placed> {
        let backed = self.settings.backing.is_some();
        match self.settings.preallocation {
            Preallocation::Off if !backed => Ok(Placed { host: 0, len: piece.len }),
            Preallocation::Off if self.settings.version >= 3 => {
                let (table, slot, count) = self.slots(piece);
                state.open_table(table, &self.settings)?;
                (0..count).zip(state.entries(slot)).for_each(|(_, entry)| *entry = layout::ZERO);
                Ok(self.placed(piece, 0, count))
            }
            Preallocation::Metadata | Preallocation::Falloc => self.place_plain(state, piece),
            // Written like any other bytes, so not seen here.
            Preallocation::Off | Preallocation::Full => self.place_plain(state, piece),
        }
    }

    /// Whether zeros have to be written: as the settings say, because version 2 has no other way to hide the
    /// bytes of its backing file, or because a cluster that is only given its place would show old bytes.
    fn writes_zeros(&self) -> bool {
        let hides = self.settings.backing.is_some() && self.settings.version < 3;
        let shows = self.settings.preallocation != Preallocation::Off && !self.target_is_zero;
        hides || shows || self.settings.preallocation == Preallocation::Full
    }

    /// The answer for `count` clusters from the start of `piece`.
    fn placed(&self, piece: &Piece, host: u64, count: u64) -> Placed {
        Placed { host, len: piece.len.min(count << self.settings.cluster_bits) }
    }
}

impl ImageWriter for Qcow2Writer {
    fn shape(&self) -> Shape {
        Shape {
            unit: self.settings.cluster_len(),
            order: Order::Random,
            compression: self.settings.compression,
            pads_last: true,
            stores_plain: true,
            zeros_as_data: self.writes_zeros(),
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        let mut state = self.lock();
        match piece.form {
            Form::Absent => Ok(Placed { host: 0, len: piece.len }),
            Form::Zero => self.place_zero(&mut state, piece),
            Form::Plain => self.place_plain(&mut state, piece),
            Form::Encoded(len) => self.place_encoded(&mut state, piece, len),
        }
    }

    fn store(&self, _piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        self.target.write_at(bytes, host)?;
        let tables = self.lock().take_tables();
        self.write_tables(tables)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(Error::unsupported("the size of the disk has to be known before"))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut state = std::mem::replace(&mut *self.lock(), State::spent(&self.settings));
        state.close_table();
        let tables = state.take_tables();
        self.write_tables(tables)?;
        let l1: Vec<u8> = state.l1.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        self.target.write_at(&l1, state.l1_host)?;
        let (refcounts, tables) = state.allocator.finish()?;
        self.write_tables(tables)?;
        self.target.set_len(refcounts.file_len)?;
        if self.settings.preallocation == Preallocation::Falloc {
            self.target.reserve(0..refcounts.file_len)?;
        }
        let header = header::build(&self.settings, state.l1_host, &refcounts)?;
        self.target.write_at(&header, 0)
    }
}

impl State {
    /// What is left of the state once the image is being finished.
    fn spent(settings: &Settings) -> Self {
        let allocator = Allocator::new(settings.cluster_bits, settings.refcount_order);
        Self { allocator, l1: Vec::new(), l1_host: 0, l2: None, to_write: Vec::new() }
    }

    /// Makes the L2 table number `index` the one that entries go to.
    fn open_table(&mut self, index: u64, settings: &Settings) -> Result<()> {
        if self.l2.as_ref().is_some_and(|table| table.index == index) {
            return Ok(());
        }
        self.close_table();
        let slot = usize::try_from(index).ok().filter(|&slot| slot < self.l1.len());
        let slot = slot.ok_or_else(|| Error::out_of_bounds("a piece lies beyond the end of the disk"))?;
        let host = self.allocator.clusters(1)?;
        self.l1[slot] = layout::COPIED | host;
        let entries = vec![0; usize::try_from(settings.l2_entries()).unwrap_or(usize::MAX)];
        self.l2 = Some(L2Table { index, host, entries });
        Ok(())
    }

    /// The entries of the open table from `slot` on.
    fn entries(&mut self, slot: usize) -> impl Iterator<Item = &mut u64> {
        self.l2.iter_mut().flat_map(move |table| table.entries.iter_mut().skip(slot))
    }

    /// Puts the open table among those that are to be written: pieces come in order, so it is complete.
    fn close_table(&mut self) {
        if let Some(table) = self.l2.take() {
            let bytes = table.entries.iter().flat_map(|entry| entry.to_be_bytes()).collect();
            self.to_write.push(Table { host: table.host, bytes });
        }
    }

    /// Tables that are complete and not written yet.
    fn take_tables(&mut self) -> Vec<Table> {
        let mut tables = std::mem::take(&mut self.to_write);
        tables.append(&mut self.allocator.to_write);
        tables
    }
}

/// The L2 entry of a compressed cluster. Specification, "Compressed Clusters Descriptor": the host offset in
/// the low bits, and above it the number of further 512-byte sectors that the stream touches.
fn compressed_entry(host: u64, len: u32, cluster_bits: u32) -> u64 {
    let sectors_shift = layout::compressed_offset_bits(cluster_bits);
    let last = host + u64::from(len.max(1)) - 1;
    let further_sectors = last / layout::COMPRESSED_SECTOR_LEN - host / layout::COMPRESSED_SECTOR_LEN;
    layout::COMPRESSED | (further_sectors << sectors_shift) | host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_entry_counts_the_sectors_it_touches() {
        assert_eq!(compressed_entry(0x5_0000, 512, 16), layout::COMPRESSED | 0x5_0000);
        assert_eq!(compressed_entry(0x5_0000, 513, 16), layout::COMPRESSED | 0x5_0000 | (1 << 54));
        assert_eq!(compressed_entry(0x5_01ff, 2, 16), layout::COMPRESSED | 0x5_01ff | (1 << 54));
        assert_eq!(compressed_entry(0x400, 511, 9), layout::COMPRESSED | 0x400);
    }
}
