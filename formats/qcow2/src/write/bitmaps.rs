//! Dirty bitmaps of a new image: their bits, their tables, and the directory.

use std::collections::HashSet;

use imgfmt_core::{Bitmap, BitmapInfo, Error, Limits, Result};

use super::settings::Settings;
use super::table::Table;
use crate::layout;

/// Where the bitmap directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    /// How many bitmaps there are.
    count: u32,
    /// Bytes of the directory.
    len: u64,
    /// Its host offset.
    host: u64,
}

impl Directory {
    /// The data of the header extension. Specification, "Bitmaps extension".
    pub(super) fn extension(&self) -> Vec<u8> {
        let mut data = self.count.to_be_bytes().to_vec();
        data.extend([0; 4]);
        data.extend(self.len.to_be_bytes());
        data.extend(self.host.to_be_bytes());
        data
    }
}

/// Where what bitmaps need goes.
pub(super) trait Room {
    /// Gives out clusters that lie together, and returns their host offset.
    fn take(&mut self, clusters: u64) -> Result<u64>;

    /// Takes what belongs there.
    fn put(&mut self, table: Table) -> Result<()>;
}

/// Writes `bitmaps` of a disk of `size` bytes to `room`; the answer is for the header.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for bitmaps that the format cannot hold or that cannot be relied on.
pub(super) fn write(
    bitmaps: &[&dyn Bitmap],
    size: u64,
    settings: &Settings,
    room: &mut dyn Room,
) -> Result<Option<Directory>> {
    if bitmaps.is_empty() {
        return Ok(None);
    }
    if settings.version < 3 {
        return Err(Error::invalid("bitmaps need compat=1.1"));
    }
    Limits::check("bitmaps", bitmaps.len() as u64, layout::MAX_BITMAPS)?;
    let mut names = HashSet::new();
    let mut directory = Vec::new();
    for bitmap in bitmaps {
        let info = bitmap.info();
        check(info)?;
        if !names.insert(info.name.as_str()) {
            return Err(Error::invalid(format!("there are two bitmaps called {}", info.name)));
        }
        let table = Bits::write(*bitmap, size, settings.cluster_len(), room)?;
        let host = put_padded(words(&table), settings, room)?;
        directory.extend(entry(info, host, table.len()));
    }
    let len = directory.len() as u64;
    let host = put_padded(directory, settings, room)?;
    Ok(Some(Directory { count: u32::try_from(bitmaps.len()).unwrap_or(u32::MAX), len, host }))
}

/// Checks that the format can hold such a bitmap.
fn check(info: &BitmapInfo) -> Result<()> {
    let name = &info.name;
    if info.inconsistent {
        return Err(Error::invalid(format!(
            "the bitmap {name} was in use when its image was closed, and cannot be copied"
        )));
    }
    if name.is_empty() || name.len() > layout::MAX_BITMAP_NAME_LEN {
        return Err(Error::invalid(format!("{name:?} cannot be the name of a bitmap: it has 1 to 1023 bytes")));
    }
    let bits = u8::try_from(info.granularity.trailing_zeros()).unwrap_or(u8::MAX);
    if !info.granularity.is_power_of_two() || !layout::BITMAP_GRANULARITY_BITS.contains(&bits) {
        let what = format!("the bitmap {name} has a granularity of {}, outside 512 to 2G", info.granularity);
        return Err(Error::invalid(what));
    }
    Ok(())
}

/// Puts bytes into clusters of their own, and returns where.
fn put_padded(mut bytes: Vec<u8>, settings: &Settings, room: &mut dyn Room) -> Result<u64> {
    let clusters = (bytes.len() as u64).div_ceil(settings.cluster_len());
    let host = if clusters == 0 { 0 } else { room.take(clusters)? };
    bytes.resize(usize::try_from(clusters << settings.cluster_bits).unwrap_or(usize::MAX), 0);
    room.put(Table { host, bytes })?;
    Ok(host)
}

/// Words as bytes.
fn words(table: &[u64]) -> Vec<u8> {
    Table::of_words(0, table).bytes
}

/// An entry of the directory. Specification, "Bitmap directory".
fn entry(info: &BitmapInfo, table: u64, table_size: usize) -> Vec<u8> {
    let name = info.name.as_bytes();
    let flags = if info.enabled { layout::BITMAP_AUTO } else { 0 };
    let mut entry = table.to_be_bytes().to_vec();
    entry.extend(u32::try_from(table_size).unwrap_or(u32::MAX).to_be_bytes());
    entry.extend(flags.to_be_bytes());
    entry.push(layout::BITMAP_TYPE_DIRTY);
    entry.push(u8::try_from(info.granularity.trailing_zeros()).unwrap_or(u8::MAX));
    entry.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
    entry.extend(0u32.to_be_bytes());
    entry.extend(name);
    entry.resize(entry.len().next_multiple_of(layout::ITEM_ALIGN), 0);
    entry
}

/// The bits of one bitmap, a cluster of them at a time.
struct Bits<'a> {
    /// The bitmap table.
    table: Vec<u64>,
    /// The cluster of bits that is being filled, where there is one.
    open: Option<usize>,
    /// Its bits.
    cluster: Vec<u8>,
    /// Where full clusters go.
    room: &'a mut dyn Room,
}

impl<'a> Bits<'a> {
    /// Writes the bits of `bitmap`, and returns its table.
    fn write(bitmap: &dyn Bitmap, size: u64, cluster_len: u64, room: &'a mut dyn Room) -> Result<Vec<u64>> {
        let granularity = bitmap.info().granularity;
        let clusters = size.div_ceil(granularity).div_ceil(8 * cluster_len);
        Limits::check("bitmap", clusters.saturating_mul(cluster_len), layout::MAX_BITMAP_LEN)?;
        let cluster = vec![0; usize::try_from(cluster_len).unwrap_or(0)];
        let table = vec![0; usize::try_from(clusters).unwrap_or(0)];
        let mut bits = Self { table, open: None, cluster, room };
        bitmap.visit_dirty(&mut |run| {
            let end = run.end.min(size);
            if run.start >= end { Ok(()) } else { bits.set(run.start / granularity, end.div_ceil(granularity)) }
        })?;
        bits.close()?;
        Ok(bits.table)
    }

    /// Sets the bits from `first` to `end`.
    fn set(&mut self, mut first: u64, end: u64) -> Result<()> {
        let per_cluster = 8 * self.cluster.len() as u64;
        while first < end {
            let index = first / per_cluster;
            let cluster_end = ((index + 1) * per_cluster).min(end);
            let slot = usize::try_from(index).unwrap_or(usize::MAX);
            if cluster_end - first == per_cluster {
                self.close()?;
                self.table[slot] = layout::BITMAP_ALL_ONES;
            } else {
                self.open(slot)?;
                set_bits(&mut self.cluster, first % per_cluster, cluster_end - index * per_cluster);
            }
            first = cluster_end;
        }
        Ok(())
    }

    /// Makes cluster `slot` the one that is being filled.
    fn open(&mut self, slot: usize) -> Result<()> {
        if self.open != Some(slot) {
            self.close()?;
            self.open = Some(slot);
        }
        Ok(())
    }

    /// Writes the cluster that is being filled.
    fn close(&mut self) -> Result<()> {
        let Some(slot) = self.open.take() else { return Ok(()) };
        let host = self.room.take(1)?;
        self.table[slot] = host;
        self.room.put(Table { host, bytes: self.cluster.clone() })?;
        self.cluster.fill(0);
        Ok(())
    }
}

/// Sets the bits from `first` to `end`, of which the lowest of a byte is the first.
fn set_bits(bytes: &mut [u8], first: u64, end: u64) {
    let mut bit = first;
    while bit < end {
        let byte = &mut bytes[usize::try_from(bit / 8).unwrap_or(usize::MAX)];
        if bit.is_multiple_of(8) && end - bit >= 8 {
            *byte = 0xff;
            bit += 8;
        } else {
            *byte |= 1 << (bit % 8);
            bit += 1;
        }
    }
}
