//! The header.

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};

use crate::layout::{
    CYLINDER_SECTORS, CYLINDERS_AT, DATA_OFFSET_AT, ENTRIES_AT, ENTRY_LEN, EXTENSION_AT, FLAGS_AT, HEADER_LEN, HEADS,
    HEADS_AT, IN_USE, IN_USE_AT, MAGIC, MAGIC_AT, MAX_ENTRIES, MAX_TRACKS, OLD_MAGIC, SECTOR_LEN, SECTORS_AT,
    TRACKS_AT, VERSION, VERSION_AT, field, le_u32, le_u64, put,
};

/// A header that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whether entries count sectors.
    pub(crate) is_old: bool,
    /// `tracks`: sectors of a cluster, at least one.
    pub(crate) tracks: u32,
    /// `bat_entries`: entries of the BAT, enough for the disk.
    pub(crate) entries: u32,
    /// `nb_sectors`: sectors of the disk.
    pub(crate) sectors: u64,
    /// `in_use`.
    pub(crate) in_use: u32,
    /// `data_off`, as it is said: sectors.
    pub(crate) data_offset: u32,
    /// `flags`.
    pub(crate) flags: u32,
    /// `ext_off`: sectors.
    pub(crate) extension: u64,
}

impl Header {
    /// Reads the header.
    pub(crate) fn read(storage: &dyn Storage, limits: &Limits) -> Result<Self> {
        Self::parse(&storage.read_array::<HEADER_LEN>(0)?, limits)
    }

    /// Checks every rule that the header alone can break.
    pub(crate) fn parse(head: &[u8; HEADER_LEN], limits: &Limits) -> Result<Self> {
        let is_old = check_version(head)?;
        let mut header = Self {
            is_old,
            tracks: le_u32::<TRACKS_AT>(head),
            entries: le_u32::<ENTRIES_AT>(head),
            sectors: le_u64::<SECTORS_AT>(head),
            in_use: le_u32::<IN_USE_AT>(head),
            data_offset: le_u32::<DATA_OFFSET_AT>(head),
            flags: le_u32::<FLAGS_AT>(head),
            extension: le_u64::<EXTENSION_AT>(head),
        };
        if is_old {
            // Programs that write the old magic need not make the rest zero.
            (header.sectors, header.extension) = (u64::from(le_u32::<SECTORS_AT>(head)), 0);
        }
        header.check_clusters(limits)?;
        Ok(header)
    }

    /// The bytes of a new header.
    pub(crate) fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let fields: [(usize, &[u8]); 11] = [
            (MAGIC_AT, if self.is_old { &OLD_MAGIC } else { &MAGIC }),
            (VERSION_AT, &VERSION.to_le_bytes()),
            (HEADS_AT, &HEADS.to_le_bytes()),
            (CYLINDERS_AT, &self.cylinders().to_le_bytes()),
            (TRACKS_AT, &self.tracks.to_le_bytes()),
            (ENTRIES_AT, &self.entries.to_le_bytes()),
            (SECTORS_AT, &self.sectors.to_le_bytes()),
            (IN_USE_AT, &self.in_use.to_le_bytes()),
            (DATA_OFFSET_AT, &self.data_offset.to_le_bytes()),
            (FLAGS_AT, &self.flags.to_le_bytes()),
            (EXTENSION_AT, &self.extension.to_le_bytes()),
        ];
        fields.iter().for_each(|(at, field)| put(&mut bytes, *at, field));
        bytes
    }

    /// `cylinders` of a disk of this size.
    pub(crate) fn cylinders(&self) -> u32 {
        u32::try_from(self.sectors / CYLINDER_SECTORS).unwrap_or(u32::MAX)
    }

    /// Guest bytes. The number of sectors was checked.
    pub(crate) fn disk_size(&self) -> u64 {
        self.sectors * SECTOR_LEN
    }

    /// Bytes of a cluster.
    pub(crate) fn cluster_len(&self) -> u64 {
        u64::from(self.tracks) * SECTOR_LEN
    }

    /// Clusters of the disk; the BAT may have more entries.
    pub(crate) fn disk_clusters(&self) -> u64 {
        self.sectors.div_ceil(u64::from(self.tracks))
    }

    /// Where the BAT ends.
    pub(crate) fn bat_end(&self) -> u64 {
        entry_at(u64::from(self.entries))
    }

    /// The first byte that can be a cluster's, as the header says it: behind the BAT at least.
    pub(crate) fn data_start(&self) -> u64 {
        (u64::from(self.data_offset) * SECTOR_LEN).max(self.bat_end().next_multiple_of(SECTOR_LEN))
    }

    /// Sectors that entries count.
    pub(crate) fn entry_sectors(&self) -> u64 {
        if self.is_old { 1 } else { u64::from(self.tracks) }
    }

    /// The byte to which `entry` leads.
    pub(crate) fn host(&self, entry: u32) -> u64 {
        // 32 bits, at most 22 bits, and 9 bits.
        u64::from(entry) * self.entry_sectors() * SECTOR_LEN
    }

    /// The entry that leads to byte `host`.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where it is too far away for one.
    pub(crate) fn entry(&self, host: u64) -> Result<u32> {
        let entry = u32::try_from(host / (self.entry_sectors() * SECTOR_LEN));
        entry.map_err(|_| Error::limit("the file would have more clusters than an entry can name"))
    }

    /// The first byte from `at` on at which a new cluster can begin, behind [`data_start`](Self::data_start): new ones lie at whole
    /// clusters of the file where entries count these, else at whole clusters from there on, as QEMU looks for room.
    pub(crate) fn next_place(&self, at: u64) -> u64 {
        let start = self.data_start();
        let origin = if self.is_old { start } else { 0 };
        origin + (at.max(start) - origin).next_multiple_of(self.cluster_len())
    }

    /// Guest bytes of cluster `index` that the file has to have: of the last one, what lies behind the disk may be missing.
    pub(crate) fn stored_len(&self, index: u64) -> u64 {
        self.disk_size().saturating_sub(index.saturating_mul(self.cluster_len())).min(self.cluster_len())
    }

    /// Whether the image was not closed.
    pub(crate) fn is_open(&self) -> bool {
        self.in_use == IN_USE
    }

    /// Checks the size of the disk and of its clusters.
    fn check_clusters(&self, limits: &Limits) -> Result<()> {
        if !(1..=MAX_TRACKS).contains(&self.tracks) {
            let what = format!("is {}, and a cluster has 1 to {MAX_TRACKS} sectors", self.tracks);
            return Err(Error::malformed(what).field("tracks").at(TRACKS_AT as u64));
        }
        let entries_at = |e: Error| e.field("bat_entries").at(ENTRIES_AT as u64);
        Limits::check("bat_entries", u64::from(self.entries), MAX_ENTRIES).map_err(entries_at)?;
        limits.table_len("bat_entries", u64::from(self.entries), ENTRY_LEN).map_err(entries_at)?;
        let most = limits.virtual_size.min(i64::MAX as u64) / SECTOR_LEN;
        let size_at = |e: Error| e.field("nb_sectors").at(SECTORS_AT as u64);
        Limits::check("nb_sectors", self.sectors, most).map_err(size_at)?;
        let needed = self.disk_clusters();
        if u64::from(self.entries) < needed {
            let what = format!("is {}, but a disk of {} sectors has {needed} clusters", self.entries, self.sectors);
            return Err(entries_at(Error::malformed(what)));
        }
        Ok(())
    }
}

/// The byte at which the entry of cluster `index` is.
pub(crate) fn entry_at(index: u64) -> u64 {
    HEADER_LEN as u64 + index * ENTRY_LEN
}

/// Checks what all images have in front; returns whether the magic is the old one.
fn check_version(head: &[u8; HEADER_LEN]) -> Result<bool> {
    let magic = field::<MAGIC_AT, 16>(head);
    if magic != OLD_MAGIC && magic != MAGIC {
        let what = "is neither WithoutFreeSpace nor WithouFreSpacExt";
        return Err(Error::malformed(what).field("magic").at(MAGIC_AT as u64));
    }
    let version = le_u32::<VERSION_AT>(head);
    if version != VERSION {
        let what = format!("is {version}, and only 2 is known");
        return Err(Error::unsupported(what).field("version").at(VERSION_AT as u64));
    }
    Ok(magic == OLD_MAGIC)
}
