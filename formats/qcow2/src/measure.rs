//! How large an image of a disk is, by its layout: what `qemu-img measure` tells, too.
//!
//! One cluster of header, the LUKS header where there is one, the tables of level 2 with their level 1, and the refcount structures that count all of that
//! and themselves. Each table takes whole clusters.

use imgfmt_core::{BitmapInfo, Error, Measure, Options, Result};

use crate::Qcow2;
use crate::crypto::luks_len;

impl Measure for Qcow2 {
    fn unit(&self, options: &Options) -> Result<Option<u64>> {
        // The writer of an encrypted image makes keys, which takes seconds on purpose.
        let geometry = Geometry::parse(options)?;
        Ok((geometry.luks > 0).then(|| geometry.cluster * ENTRY_LEN / geometry.entry))
    }

    fn fully_allocated(&self, size: u64, options: &Options) -> Result<u64> {
        let geometry = Geometry::parse(options)?;
        geometry.full_len(size).ok_or_else(|| Error::invalid(format!("a disk of {size} bytes is too large")))
    }

    fn bitmaps(&self, size: u64, options: &Options, bitmaps: &[BitmapInfo]) -> Result<u64> {
        let geometry = Geometry::parse(options)?;
        Ok(geometry.bitmaps_len(size, bitmaps))
    }
}

/// What sizes follow from.
struct Geometry {
    /// Bytes of a cluster.
    cluster: u64,
    /// Bytes of an entry of level 2.
    entry: u64,
    /// Bits of a refcount.
    refcount_bits: u64,
    /// Bytes of the LUKS header; none without one.
    luks: u64,
}

impl Geometry {
    /// The geometry of an image with these options.
    fn parse(options: &Options) -> Result<Self> {
        let cluster = options.size("cluster_size", DEFAULT_CLUSTER_LEN)?;
        let refcount_bits = options.size("refcount_bits", DEFAULT_REFCOUNT_BITS)?;
        if !cluster.is_power_of_two() || !(512..=2 << 20).contains(&cluster) {
            return Err(Error::invalid(format!(
                "cluster_size is {cluster}, which is not a power of two from 512 to 2M"
            )));
        }
        if !refcount_bits.is_power_of_two() || refcount_bits > 64 {
            return Err(Error::invalid(format!(
                "refcount_bits is {refcount_bits}, which is not a power of two up to 64"
            )));
        }
        let entry = if options.flag("extended_l2", false)? { 2 * ENTRY_LEN } else { ENTRY_LEN };
        Ok(Self { cluster, entry, refcount_bits, luks: luks_len(options)? })
    }

    /// Bytes of an image of a disk of `size` bytes that is all stored.
    fn full_len(&self, size: u64) -> Option<u64> {
        let data = size.checked_next_multiple_of(self.cluster)?;
        let entries = (data / self.cluster).checked_next_multiple_of(self.cluster / self.entry)?;
        let tables = entries.checked_mul(self.entry)?;
        let top = (tables / self.cluster).checked_next_multiple_of(self.cluster / ENTRY_LEN)?.checked_mul(ENTRY_LEN)?;
        let header = self.cluster + self.luks.next_multiple_of(self.cluster);
        let metadata = header.checked_add(tables)?.checked_add(top)?;
        let counted = metadata.checked_add(data)?;
        counted.checked_add(self.refcounts_len(counted / self.cluster)?)
    }

    /// Bytes of the refcount structures of so many clusters, which count themselves, too.
    fn refcounts_len(&self, clusters: u64) -> Option<u64> {
        let per_block = self.cluster * 8 / self.refcount_bits;
        let (mut blocks, mut table): (u64, u64) = (0, 0);
        loop {
            let counted = clusters.checked_add(blocks)?.checked_add(table)?;
            let (next_blocks, before) = (counted.div_ceil(per_block), (blocks, table));
            blocks = next_blocks;
            table = blocks.div_ceil(self.cluster / ENTRY_LEN);
            if before == (blocks, table) {
                return blocks.checked_add(table)?.checked_mul(self.cluster);
            }
        }
    }

    /// Bytes of bitmaps of a disk of `size` bytes: their bits, a table each, and the directory.
    fn bitmaps_len(&self, size: u64, bitmaps: &[BitmapInfo]) -> u64 {
        let whole = |len: u64| len.next_multiple_of(self.cluster);
        let one = |bitmap: &BitmapInfo| {
            let bytes = size.div_ceil(bitmap.granularity.max(1)).div_ceil(8);
            whole(bytes) + whole(bytes.div_ceil(self.cluster) * ENTRY_LEN)
        };
        let directory: u64 = bitmaps
            .iter()
            .map(|bitmap| (DIRECTORY_ENTRY_LEN + bitmap.name.len() as u64).next_multiple_of(ENTRY_LEN))
            .sum();
        bitmaps.iter().map(one).sum::<u64>() + whole(directory)
    }
}

/// `cluster_size` where nothing is said, in bytes.
const DEFAULT_CLUSTER_LEN: u64 = 64 << 10;
/// `refcount_bits` where nothing is said.
const DEFAULT_REFCOUNT_BITS: u64 = 16;
/// Bytes of an entry of the tables of level 1, of refcounts and of bitmaps.
const ENTRY_LEN: u64 = 8;
/// Bytes of a bitmap directory entry before its name. Specification, "Bitmap directory".
const DIRECTORY_ENTRY_LEN: u64 = 24;
