//! One entry of the log, and the ring of sectors that it lies in.

use std::ops::ControlFlow;

use uuid::Uuid;

use crate::fields::{guid_at, u32_at, u64_at};
use crate::layout::{
    CHECKSUM_AT, DATA_DESCRIPTOR, DATA_SECTOR, DESCRIPTOR_LEN, DESCRIPTOR_OFFSET_AT, DESCRIPTOR_SEQUENCE_AT,
    LEADING_AT, LOG_COUNT_AT, LOG_ENTRY_GUID_AT, LOG_ENTRY_LENGTH_AT, LOG_FLUSHED_AT, LOG_HEADER_LEN, LOG_LAST_AT,
    LOG_SECTOR_LEN, LOG_SEQUENCE_AT, LOG_SIGNATURE, LOG_TAIL_AT, SEQUENCE_LOW_AT, TRAILING_AT, ZERO_DESCRIPTOR,
};

/// The bytes of the log: entries go on at its start where they reach its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring<'a>(pub(super) &'a [u8]);

impl<'a> Ring<'a> {
    /// How many sectors there are.
    pub(super) fn sectors(self) -> usize {
        self.0.len() / LOG_SECTOR_LEN
    }

    /// Sector `index`, counted around.
    pub(super) fn sector(self, index: usize) -> &'a [u8] {
        let at = index % self.sectors() * LOG_SECTOR_LEN;
        &self.0[at..at + LOG_SECTOR_LEN]
    }
}

/// What a sector says that looks like the first of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its first sector.
    pub(super) first: usize,
    /// How many sectors it has.
    pub(super) sectors: usize,
    /// The sector where the sequence begins that ends with this entry.
    pub(super) tail: usize,
    /// Its place in the sequence; never 0.
    pub(super) sequence: u64,
    /// How many descriptors it has.
    count: usize,
    /// The checksum that it says it has.
    checksum: u32,
    /// The file is safely this long.
    pub(super) flushed: u64,
    /// The file has to be this long.
    pub(super) last: u64,
}

/// What a descriptor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change<'a> {
    /// A sector at host byte `at`, in three parts.
    Sector {
        /// Host byte, at a sector.
        at: u64,
        /// The bytes, one part behind the other.
        parts: [&'a [u8]; 3],
    },
    /// Zeros.
    Zero {
        /// Host byte, at a sector.
        at: u64,
        /// Whole sectors, in bytes.
        len: u64,
    },
}

impl Entry {
    /// The entry that begins with sector `first`, as far as its header can tell.
    pub(super) fn parse(ring: Ring<'_>, first: usize, guid: Uuid) -> Option<Self> {
        let bytes = ring.sector(first);
        let len = u32_at(bytes, LOG_ENTRY_LENGTH_AT) as usize;
        let tail = u32_at(bytes, LOG_TAIL_AT) as usize;
        let right = bytes.starts_with(&LOG_SIGNATURE)
            && guid_at(bytes, LOG_ENTRY_GUID_AT) == guid
            && len != 0
            && len.is_multiple_of(LOG_SECTOR_LEN)
            && len <= ring.0.len()
            && tail.is_multiple_of(LOG_SECTOR_LEN)
            && tail < ring.0.len();
        let entry = Self {
            first,
            sectors: len / LOG_SECTOR_LEN,
            tail: tail / LOG_SECTOR_LEN,
            sequence: u64_at(bytes, LOG_SEQUENCE_AT),
            count: u32_at(bytes, LOG_COUNT_AT) as usize,
            checksum: u32_at(bytes, CHECKSUM_AT),
            flushed: u64_at(bytes, LOG_FLUSHED_AT),
            last: u64_at(bytes, LOG_LAST_AT),
        };
        Some(entry).filter(|entry| right && entry.sequence != 0 && entry.descriptor_sectors() <= entry.sectors)
    }

    /// Whether all of the entry is as it was written: checksum, descriptors and data sectors.
    pub(super) fn is_whole(&self, ring: Ring<'_>) -> bool {
        self.computed_checksum(ring) == self.checksum && self.changes(ring, |_| ControlFlow::Continue(())).is_some()
    }

    /// Hands the changes to `visit`, in order, until it breaks. `None` where a rule is broken.
    pub(super) fn changes<'a>(
        &self,
        ring: Ring<'a>,
        mut visit: impl FnMut(Change<'a>) -> ControlFlow<()>,
    ) -> Option<()> {
        let mut data = self.descriptor_sectors();
        for index in 0..self.count {
            let at = LOG_HEADER_LEN + index * DESCRIPTOR_LEN;
            let sector = ring.sector(self.first + at / LOG_SECTOR_LEN);
            let descriptor = &sector[at % LOG_SECTOR_LEN..][..DESCRIPTOR_LEN];
            let change = match descriptor[..4] {
                _ if u64_at(descriptor, DESCRIPTOR_SEQUENCE_AT) != self.sequence => return None,
                ref signature if *signature == DATA_DESCRIPTOR => {
                    data += 1;
                    self.data_change(ring, descriptor, data - 1)?
                }
                ref signature if *signature == ZERO_DESCRIPTOR => zero_change(descriptor)?,
                _ => return None,
            };
            if visit(change).is_break() {
                return Some(());
            }
        }
        Some(()).filter(|()| data == self.sectors)
    }

    /// The change that a data descriptor and data sector number `index` of the entry make.
    fn data_change<'a>(&self, ring: Ring<'a>, descriptor: &'a [u8], index: usize) -> Option<Change<'a>> {
        if index >= self.sectors {
            return None;
        }
        let sector = ring.sector(self.first + index);
        let sequence = u64::from(u32_at(sector, 4)) << 32 | u64::from(u32_at(sector, SEQUENCE_LOW_AT));
        let at = u64_at(descriptor, DESCRIPTOR_OFFSET_AT);
        let right = sector.starts_with(&DATA_SECTOR) && sequence == self.sequence && is_aligned(at);
        let leading = &descriptor[LEADING_AT..DESCRIPTOR_OFFSET_AT];
        let trailing = &descriptor[TRAILING_AT..LEADING_AT];
        let change = Change::Sector { at, parts: [leading, &sector[8..SEQUENCE_LOW_AT], trailing] };
        Some(change).filter(|_| right && at.checked_add(LOG_SECTOR_LEN as u64).is_some())
    }

    /// Sectors that header and descriptors fill.
    fn descriptor_sectors(&self) -> usize {
        (LOG_HEADER_LEN + self.count.saturating_mul(DESCRIPTOR_LEN)).div_ceil(LOG_SECTOR_LEN)
    }

    /// CRC-32C of the entry, its checksum taken as 0.
    fn computed_checksum(&self, ring: Ring<'_>) -> u32 {
        let first = ring.sector(self.first);
        let mut crc = crc32c::crc32c_append(crc32c::crc32c(&first[..CHECKSUM_AT]), &[0; 4]);
        crc = crc32c::crc32c_append(crc, &first[CHECKSUM_AT + 4..]);
        (1..self.sectors).fold(crc, |crc, index| crc32c::crc32c_append(crc, ring.sector(self.first + index)))
    }
}

/// The change that a zero descriptor makes.
fn zero_change(descriptor: &[u8]) -> Option<Change<'_>> {
    let (len, at) = (u64_at(descriptor, LEADING_AT), u64_at(descriptor, DESCRIPTOR_OFFSET_AT));
    let right = is_aligned(len) && is_aligned(at) && at.checked_add(len).is_some();
    Some(Change::Zero { at, len }).filter(|_| right)
}

/// Whether a host byte is at a sector.
fn is_aligned(offset: u64) -> bool {
    offset.is_multiple_of(LOG_SECTOR_LEN as u64)
}
