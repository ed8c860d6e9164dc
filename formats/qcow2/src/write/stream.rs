//! Writing in order, as into a pipe: everything that says where data lies comes before the data.
//!
//! ```text
//! header │ L1 table │ bitmaps │ refcount table │ refcount blocks │ L2 tables │ data
//! ```
//!
//! That can be known before the first cluster only where clusters are not compressed, and only with the map of what will
//! be written: a cluster that the map does not know to be zero has its place, and zeros that are found in it are written.

use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::convert::is_zero;
use imgfmt_core::{CreateRequest, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use super::allocate::{RefcountTable, put_refcount};
use super::bitmaps::{self, Directory, Room};
use super::header::{self, Places};
use super::plan::Runs;
use super::settings::{Preallocation, Settings};
use super::table::{L2Table, Table};
use crate::crypto::CryptMethod;
use crate::layout::{COPIED, MAX_REFCOUNT_TABLE_LEN, SUBCLUSTERS, TABLE_ENTRY_LEN};

/// Writes a new image in order.
pub(super) struct StreamWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What it is to be.
    settings: Settings,
    /// Which clusters have a place.
    runs: Runs,
    /// Host byte of the first of them.
    data_host: u64,
    /// Host byte up to which the file is written.
    written: Mutex<u64>,
}

impl StreamWriter {
    /// Starts an image: writes all of it but the data.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for what cannot be written in one pass, with the reason.
    pub(super) fn new(target: Arc<dyn Target>, settings: Settings, request: &CreateRequest<'_>) -> Result<Self> {
        refuse(&settings, request)?;
        let clusters = settings.size.div_ceil(settings.cluster_len());
        let runs = match (settings.preallocation, request.plan) {
            (Preallocation::Off, Some(image)) => Runs::of(image, settings.size, settings.cluster_bits)?,
            (Preallocation::Off, None) => return Err(cannot("what will be written is not known before")),
            _ => Runs::all(clusters),
        };
        let mut front = Front::new(&settings)?;
        let bitmaps = bitmaps::write(request.bitmaps, settings.size, &settings, &mut front)?;
        let layout = Layout::new(&settings, &runs, &front)?;
        layout.write(target.as_ref(), &settings, &runs, front, bitmaps)?;
        Ok(Self { target, settings, runs, data_host: layout.data_host, written: Mutex::new(layout.data_host) })
    }

    /// Host byte behind the last cluster.
    fn end(&self) -> u64 {
        self.data_host + (self.runs.total() << self.settings.cluster_bits)
    }

    /// Makes what lies before host byte `end` and is not written yet zero.
    fn catch_up(&self, written: &mut u64, end: u64) -> Result<()> {
        if *written < end {
            self.target.clear(*written..end)?;
            *written = end;
        }
        Ok(())
    }
}

impl ImageWriter for StreamWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: self.settings.cluster_len(),
            order: Order::Ordered,
            compression: None,
            pads_last: true,
            stores_plain: true,
            zeros_as_data: false,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        let bits = self.settings.cluster_bits;
        let nowhere = Placed { host: NOWHERE, len: piece.len };
        match piece.form {
            // Zeros in a cluster that has a place are written with what comes next.
            Form::Zero | Form::Absent => Ok(nowhere),
            Form::Encoded(_) => Err(Error::unsupported("nothing is compressed here")),
            Form::Plain => {
                let (before, count) = self.runs.at(piece.guest >> bits, piece.len.div_ceil(1 << bits));
                let len = piece.len.min(count << bits);
                // What the map knows to be zero may share a longer unit with other bytes.
                Ok(Placed { host: before.map_or(NOWHERE, |before| self.data_host + (before << bits)), len })
            }
        }
    }

    fn store(&self, _piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        if host == NOWHERE {
            let changed = || Error::malformed("bytes that were zero when the image was planned are so no longer");
            return if is_zero(bytes) { Ok(()) } else { Err(changed()) };
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        self.catch_up(&mut written, host)?;
        self.target.write_at(bytes, host)?;
        *written = host + bytes.len() as u64;
        Ok(())
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(cannot("the size of the disk has to be known before"))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        self.catch_up(&mut written, self.end())
    }
}

/// Refuses what cannot be known before it is written.
fn refuse(settings: &Settings, request: &CreateRequest<'_>) -> Result<()> {
    let reasons = [
        (settings.compression.is_some(), "the places of compressed clusters are not known before"),
        (settings.data_file.is_some(), "its data file would be a second one"),
        (settings.backing.is_some(), "what the backing file stands for is not known before"),
        (settings.encryption.is_some(), "zeros that are found within a cluster would have to be encrypted"),
        (request.size_grows, "the size of the disk has to be known before"),
        (settings.preallocation == Preallocation::Falloc, "no space can be taken there before it is written"),
    ];
    reasons.iter().find(|(is, _)| *is).map_or(Ok(()), |(_, reason)| Err(cannot(reason)))
}

/// An error that says why an image cannot be written in order.
fn cannot(reason: &str) -> Error {
    Error::unsupported(format!("such an image cannot be written front to back, as into a pipe: {reason}"))
}

/// What lies before the refcounts: the header, the L1 table and the bitmaps.
struct Front {
    /// log2 of the cluster length.
    cluster_bits: u32,
    /// Clusters that are given out.
    clusters: u64,
    /// Clusters of the L1 table, behind the header's.
    l1_clusters: u64,
    /// What the bitmaps need.
    tables: Vec<Table>,
}

impl Front {
    /// The header and the L1 table.
    fn new(settings: &Settings) -> Result<Self> {
        let l1_len = settings.l1_entries(settings.size)? * TABLE_ENTRY_LEN;
        let l1_clusters = l1_len.div_ceil(settings.cluster_len());
        Ok(Self { cluster_bits: settings.cluster_bits, clusters: 1 + l1_clusters, l1_clusters, tables: Vec::new() })
    }
}

impl Room for Front {
    fn take(&mut self, clusters: u64) -> Result<u64> {
        let host = self.clusters << self.cluster_bits;
        self.clusters += clusters;
        if host > MAX_BITMAPS_LEN {
            return Err(cannot("the bitmaps are too large to be kept until they can be written"));
        }
        Ok(host)
    }

    fn put(&mut self, table: Table) -> Result<()> {
        self.tables.push(table);
        Ok(())
    }
}

/// Where everything lies.
struct Layout {
    /// Where the refcount table is.
    refcounts: RefcountTable,
    /// Host byte of the first refcount block.
    blocks_host: u64,
    /// How many refcount blocks there are.
    blocks: u64,
    /// Host byte of the first L2 table.
    l2_host: u64,
    /// Host byte of the first cluster of data.
    data_host: u64,
    /// Clusters of the file.
    total: u64,
}

impl Layout {
    /// Gives everything behind `front` its place.
    fn new(settings: &Settings, runs: &Runs, front: &Front) -> Result<Self> {
        let bits = settings.cluster_bits;
        let tables = runs.tables(settings.l2.entries()).count() as u64;
        let others = front.clusters + tables + runs.total();
        let (mut blocks, mut table) = (0, 0);
        let total = loop {
            let total = others + blocks + table;
            let needed = total.div_ceil(counts_per_block(settings));
            let needed_table = (needed * TABLE_ENTRY_LEN).div_ceil(settings.cluster_len());
            if (needed, needed_table) == (blocks, table) {
                break total;
            }
            (blocks, table) = (needed, needed_table);
        };
        imgfmt_core::Limits::check("refcount table", table << bits, MAX_REFCOUNT_TABLE_LEN)?;
        let host = front.clusters << bits;
        let blocks_host = host + (table << bits);
        let l2_host = blocks_host + (blocks << bits);
        Ok(Self {
            refcounts: RefcountTable {
                host,
                clusters: u32::try_from(table).unwrap_or(u32::MAX),
                file_len: total << bits,
            },
            blocks_host,
            blocks,
            l2_host,
            data_host: l2_host + (tables << bits),
            total,
        })
    }

    /// Writes all of it, front to back.
    fn write(
        &self,
        target: &dyn Target,
        settings: &Settings,
        runs: &Runs,
        front: Front,
        bitmaps: Option<Directory>,
    ) -> Result<()> {
        let l1_host = if front.l1_clusters == 0 { 0 } else { settings.cluster_len() };
        let crypt = CryptMethod::None;
        let places = Places { size: settings.size, l1_host, refcounts: self.refcounts, bitmaps, crypt };
        put(target, settings, 0, header::build(settings, &places)?)?;
        put(target, settings, l1_host, self.l1(settings, runs)?)?;
        let mut tables = front.tables;
        tables.sort_by_key(|table| table.host);
        tables.into_iter().try_for_each(|table| put(target, settings, table.host, table.bytes))?;
        let blocks = (0..self.blocks).map(|index| self.blocks_host + (index << settings.cluster_bits));
        put(target, settings, self.refcounts.host, blocks.flat_map(u64::to_be_bytes).collect())?;
        self.write_blocks(target, settings)?;
        self.write_l2(target, settings, runs)
    }

    /// The L1 table.
    fn l1(&self, settings: &Settings, runs: &Runs) -> Result<Vec<u8>> {
        let mut l1 = vec![0; usize::try_from(settings.l1_entries(settings.size)?).unwrap_or(0)];
        let hosts = (self.l2_host..).step_by(1 << settings.cluster_bits);
        for (table, host) in runs.tables(settings.l2.entries()).zip(hosts) {
            if let Some(entry) = usize::try_from(table).ok().and_then(|table| l1.get_mut(table)) {
                *entry = COPIED | host;
            }
        }
        Ok(Table::of_words(0, &l1).bytes)
    }

    /// Writes the refcount blocks: every cluster of the file is used once.
    fn write_blocks(&self, target: &dyn Target, settings: &Settings) -> Result<()> {
        let per_block = counts_per_block(settings);
        let mut block = Vec::new();
        for index in 0..self.blocks {
            let used = (self.total - index * per_block).min(per_block);
            if index == 0 || used < per_block {
                block = vec![0; 1 << settings.cluster_bits];
                let used = usize::try_from(used).unwrap_or(0);
                (0..used).for_each(|count| put_refcount(&mut block, count, 1, settings.refcount_order));
            }
            target.write_at(&block, self.blocks_host + (index << settings.cluster_bits))?;
        }
        Ok(())
    }

    /// Writes the L2 tables, one after the other.
    fn write_l2(&self, target: &dyn Target, settings: &Settings, runs: &Runs) -> Result<()> {
        let (bits, entries, extended) = (settings.cluster_bits, settings.l2.entries(), settings.l2.extended());
        let mut host = self.l2_host;
        for index in runs.tables(entries) {
            let mut table = L2Table::new(index, host, settings.l2.words(), extended);
            let mut slot = 0;
            while slot < entries {
                let (before, count) = runs.at(index * entries + slot, entries - slot);
                for (slot, stored) in (slot..slot + count).zip(before.into_iter().flat_map(|before| before..)) {
                    let slot = usize::try_from(slot).unwrap_or(usize::MAX);
                    table.put(slot, COPIED | (self.data_host + (stored << bits)));
                    table.mark_stored(slot, 0..SUBCLUSTERS);
                }
                slot += count;
            }
            target.write_at(&table.finish().bytes, host)?;
            host += settings.cluster_len();
        }
        Ok(())
    }
}

/// Writes bytes, filled up to whole clusters.
fn put(target: &dyn Target, settings: &Settings, host: u64, mut bytes: Vec<u8>) -> Result<()> {
    bytes.resize(bytes.len().next_multiple_of(1 << settings.cluster_bits), 0);
    if bytes.is_empty() { Ok(()) } else { target.write_at(&bytes, host) }
}

/// Counts in a refcount block.
fn counts_per_block(settings: &Settings) -> u64 {
    1 << (settings.cluster_bits + 3 - settings.refcount_order)
}

/// The place of bytes that are not stored: no place in a file.
const NOWHERE: u64 = u64::MAX;
/// Most bytes of bitmaps that are kept until they can be written: 64 MiB.
const MAX_BITMAPS_LEN: u64 = 64 << 20;
