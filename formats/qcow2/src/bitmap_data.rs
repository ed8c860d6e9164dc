//! The bits of a dirty bitmap, by way of its bitmap table.
//!
//! The table has an entry of 8 bytes for each cluster of bits:
//!
//! | Bits 9 to 55 | Bit 0 | The cluster of bits |
//! |---|---|---|
//! | 0 | 0 | is all zeros |
//! | 0 | 1 | is all ones |
//! | else | | is at that host byte |
//!
//! A bit stands for one granule; a byte has its first granule in the lowest bit.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Bitmap, BitmapInfo, Error, Result, Storage};

use crate::bitmaps;
use crate::cluster::ClusterBits;
use crate::header::Header;
use crate::layout::{BITMAP_ALL_ONES, BITMAP_TYPE_DIRTY, OFFSET_MASK};
use crate::tables::{Table, Tables};

/// A dirty bitmap of an image that is open.
#[derive(Debug)]
pub(crate) struct StoredBitmap {
    /// The image.
    storage: Arc<dyn Storage>,
    /// What the directory says of it.
    entry: bitmaps::Bitmap,
    /// What is to be said about it.
    info: BitmapInfo,
    /// Length of the clusters.
    cluster: ClusterBits,
    /// Guest bytes of the disk.
    size: u64,
}

impl StoredBitmap {
    /// The bitmaps in the directory of the image in `storage`.
    pub(crate) fn all(
        storage: &Arc<dyn Storage>,
        header: &Header,
        directory: &[bitmaps::Bitmap],
    ) -> Vec<Box<dyn Bitmap>> {
        let stored = |entry: &bitmaps::Bitmap| Self {
            storage: Arc::clone(storage),
            info: entry.info(),
            entry: entry.clone(),
            cluster: header.cluster,
            size: header.size,
        };
        directory.iter().map(|entry| Box::new(stored(entry)) as Box<dyn Bitmap>).collect()
    }

    /// The bitmap table.
    fn table(&self) -> Result<Table> {
        let granules = self.size.div_ceil(self.info.granularity);
        let needed = granules.div_ceil(8 * self.cluster.len());
        let place = self.entry.table_place();
        let entries = u64::from(self.entry.table_size);
        if entries != needed {
            let what = format!("has a table of {entries} clusters, but its bits take {needed}");
            return Err(place.malformed(what));
        }
        if !self.cluster.aligns(self.entry.table_offset) {
            return Err(place.malformed(format!("is {}, which is at no cluster border", self.entry.table_offset)));
        }
        Table::new(self.entry.table_offset, entries, self.storage.len()).map_err(|e| place.tell(e))
    }

    /// Checks that the bits mean what is known here.
    fn check_known(&self) -> Result<()> {
        if self.entry.kind != BITMAP_TYPE_DIRTY {
            let what = format!("the bitmap {} is of type {}, which is not known", self.info.name, self.entry.kind);
            return Err(Error::unsupported(what));
        }
        if self.entry.extra_len > 0 && !self.entry.extra_is_optional() {
            let what = format!("the bitmap {} has extra data that is not known", self.info.name);
            return Err(Error::unsupported(what));
        }
        Ok(())
    }

    /// Hands the dirty runs of the cluster of bits that `entry` names to `runs`. `first` is its first granule.
    fn visit_cluster(&self, entry: u64, first: u64, bits: &mut Vec<u8>, runs: &mut Runs<'_>) -> Result<()> {
        let granules = 8 * self.cluster.len();
        match entry & OFFSET_MASK {
            0 if entry & BITMAP_ALL_ONES == 0 => runs.end(),
            0 => runs.add(first..first.saturating_add(granules)),
            host if !self.cluster.aligns(host) => {
                Err(Error::malformed(format!("is {host}, which is at no cluster border"))
                    .field("bitmap cluster offset"))
            }
            host => {
                bits.resize(self.cluster.in_memory(), 0);
                self.storage.read_at(bits, host).map_err(|e| e.context("the bits of a bitmap cannot be read"))?;
                let bytes = (first..).step_by(8).zip(bits.iter());
                bytes.into_iter().try_for_each(|(first, &byte)| runs.add_byte(first, byte))
            }
        }
    }
}

impl Bitmap for StoredBitmap {
    fn info(&self) -> &BitmapInfo {
        &self.info
    }

    fn visit_dirty(&self, visit: &mut dyn FnMut(Range<u64>) -> Result<()>) -> Result<()> {
        self.check_known()?;
        let (table, tables) = (self.table()?, Tables::default());
        let mut runs = Runs { granularity: self.info.granularity, size: self.size, open: None, visit };
        // A table that names one cluster again and again could keep a reader busy for ever.
        let mut clusters_left = self.storage.len() >> self.cluster.bits();
        let mut bits = Vec::new();
        let mut index = 0;
        while index < table.entries() {
            let entries = tables.entries(self.storage.as_ref(), table, index)?;
            for &entry in entries.iter() {
                if entry & OFFSET_MASK != 0 {
                    let left = clusters_left.checked_sub(1);
                    clusters_left = left.ok_or_else(|| Error::malformed("a bitmap has more clusters than the file"))?;
                }
                let first = index.saturating_mul(8 * self.cluster.len());
                self.visit_cluster(entry, first, &mut bits, &mut runs).map_err(|e| e.at(table.entry_at(index)))?;
                index += 1;
            }
        }
        runs.end()
    }
}

/// Joins granules to runs of guest bytes.
struct Runs<'a> {
    /// Guest bytes of a granule.
    granularity: u64,
    /// Guest bytes of the disk.
    size: u64,
    /// The run that may go on, in granules.
    open: Option<Range<u64>>,
    /// Takes the runs.
    visit: &'a mut dyn FnMut(Range<u64>) -> Result<()>,
}

impl Runs<'_> {
    /// Adds the granules of one byte of bits, the first of which is `first`.
    fn add_byte(&mut self, first: u64, byte: u8) -> Result<()> {
        match byte {
            0 => self.end(),
            0xff => self.add(first..first + 8),
            _ => (0..8).try_for_each(|bit| match byte >> bit & 1 {
                1 => self.add(first + bit..first + bit + 1),
                _ => self.end(),
            }),
        }
    }

    /// Adds dirty granules.
    fn add(&mut self, granules: Range<u64>) -> Result<()> {
        match &mut self.open {
            Some(open) if open.end == granules.start => open.end = granules.end,
            _ => {
                self.end()?;
                self.open = Some(granules);
            }
        }
        Ok(())
    }

    /// Ends the run that is open. Bits behind the end of the disk mean nothing.
    fn end(&mut self) -> Result<()> {
        let Some(granules) = self.open.take() else { return Ok(()) };
        let byte = |granule: u64| granule.saturating_mul(self.granularity).min(self.size);
        let run = byte(granules.start)..byte(granules.end);
        if run.is_empty() { Ok(()) } else { (self.visit)(run) }
    }
}

#[cfg(test)]
mod tests {
    use imgfmt_core::{ErrorKind, MemoryStorage};

    use super::*;
    use crate::layout::BITMAP_ENTRY_LEN;
    use imgfmt_core::fields::Fields;

    /// A bitmap with a granularity of 512 bytes whose table, in a file of 4 clusters of 512 bytes, has these entries. The
    /// cluster behind the table is all ones.
    fn bitmap(size: u64, entries: &[u64]) -> StoredBitmap {
        let mut file = vec![0; 2048];
        for (at, entry) in (512..1024).step_by(8).zip(entries) {
            file[at..at + 8].copy_from_slice(&entry.to_be_bytes());
        }
        file[1024..1536].fill(0xff);
        let mut entry = vec![0; BITMAP_ENTRY_LEN + 8];
        entry[6..8].copy_from_slice(&512u16.to_be_bytes());
        entry[8..12].copy_from_slice(&u32::try_from(entries.len()).unwrap().to_be_bytes());
        (entry[16], entry[17], entry[19]) = (BITMAP_TYPE_DIRTY, 9, 1);
        let (entry, _) = bitmaps::Bitmap::parse(&Fields::new(&entry, 0), 0).unwrap();
        let cluster = ClusterBits::new(9).unwrap();
        StoredBitmap { storage: Arc::new(MemoryStorage::new(file)), info: entry.info(), entry, cluster, size }
    }

    fn dirty(bitmap: &StoredBitmap) -> Result<Vec<Range<u64>>> {
        let mut runs = Vec::new();
        bitmap.visit_dirty(&mut |run| {
            runs.push(run);
            Ok(())
        })?;
        Ok(runs)
    }

    /// Guest bytes of a cluster of bits.
    const SPAN: u64 = 512 * 8 * 512;

    #[test]
    fn runs_go_on_from_cluster_to_cluster_and_end_with_the_disk() {
        assert_eq!(
            dirty(&bitmap(3 * SPAN - 700, &[0, 1024, 1])).unwrap(),
            std::slice::from_ref(&(SPAN..3 * SPAN - 700))
        );
        assert_eq!(dirty(&bitmap(3 * SPAN, &[1, 0, 1024])).unwrap(), [0..SPAN, 2 * SPAN..3 * SPAN]);
        assert_eq!(dirty(&bitmap(10, &[1024])).unwrap().len(), 1);
        assert_eq!(dirty(&bitmap(0, &[])).unwrap().len(), 0);
    }

    #[test]
    fn a_cluster_that_is_named_again_and_again_ends_the_walk() {
        let error = dirty(&bitmap(60 * SPAN, &[1024; 60])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    }

    #[test]
    fn a_table_has_to_fit_its_disk_and_its_file() {
        assert_eq!(dirty(&bitmap(SPAN + 1, &[0])).unwrap_err().kind(), ErrorKind::Malformed);
        assert_eq!(dirty(&bitmap(SPAN, &[1 << 20])).unwrap_err().kind(), ErrorKind::OutOfBounds);
        assert_eq!(dirty(&bitmap(400 * SPAN, &[0; 400])).unwrap_err().kind(), ErrorKind::OutOfBounds);
    }
}
