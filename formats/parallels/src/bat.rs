//! The block allocation table (BAT): where the clusters of a disk are. It is kept in memory as a whole, as its size is bounded.

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};

use crate::header::{Header, entry_at};
use crate::layout::{ENTRIES_AT, ENTRY_LEN, HEADER_LEN};

/// The entries.
#[derive(Clone, Debug)]
pub(crate) struct Bat(Box<[u32]>);

impl Bat {
    /// Reads the BAT of `header`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file ends before the BAT does.
    pub(crate) fn read(storage: &dyn Storage, header: &Header, limits: &Limits) -> Result<Self> {
        if header.bat_end() > storage.len() {
            let what = format!(
                "is {}, a BAT that ends at byte {}, but the file ends at byte {}",
                header.entries,
                header.bat_end(),
                storage.len()
            );
            return Err(Error::out_of_bounds(what).field("bat_entries").at(ENTRIES_AT as u64));
        }
        let len = limits.table_len("bat_entries", u64::from(header.entries), ENTRY_LEN)?;
        let bytes = storage.read_vec(HEADER_LEN as u64, len)?;
        let (entries, _) = bytes.as_chunks::<4>();
        Ok(Self(entries.iter().map(|entry| u32::from_le_bytes(*entry)).collect()))
    }

    /// The entries from cluster `index` on.
    pub(crate) fn from(&self, index: u64) -> &[u32] {
        usize::try_from(index).ok().and_then(|index| self.0.get(index..)).unwrap_or_default()
    }

    /// The clusters that lead somewhere: each with its number and its entry.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        (0..).zip(self.0.iter().copied()).filter(|(_, entry)| *entry != 0)
    }

    /// Checks that no two clusters of the disk share bytes of the file: that makes a small file a large disk.
    ///
    /// Of a large BAT, only the count is checked, which bounds that.
    pub(crate) fn check_distinct(&self, storage: &dyn Storage, header: &Header) -> Result<()> {
        let of_disk = || self.stored().take_while(|(index, _)| *index < header.disk_clusters());
        let room = storage.len().saturating_sub(header.bat_end()).div_ceil(header.cluster_len());
        // An entry that leads out of the file is an error of its own.
        let count = of_disk().filter(|(_, entry)| header.host(*entry) < storage.len()).count() as u64;
        if count > room {
            let what = format!("leads to {count} clusters, but the file has room for {room}");
            return Err(Error::malformed(what).field("BAT").at(HEADER_LEN as u64));
        }
        if count > MAX_COMPARED {
            return Ok(());
        }
        let mut places: Vec<_> = of_disk().map(|(index, entry)| (header.host(entry), index)).collect();
        places.sort_unstable();
        match places.array_windows().find(|[one, next]| next.0 - one.0 < header.cluster_len()) {
            None => Ok(()),
            Some([one, next]) => {
                let what = format!("leads to byte {}, where cluster {} is stored, too", next.0, one.1);
                Err(Error::malformed(what).field("BAT").at(entry_at(next.1)))
            }
        }
    }
}

/// Most clusters whose places are compared when an image is opened: 256 GiB in usual clusters.
const MAX_COMPARED: u64 = 1 << 18;
