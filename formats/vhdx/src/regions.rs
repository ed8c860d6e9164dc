//! The region tables: where the block allocation table and the metadata are.

use std::ops::Range;

use imgfmt_core::{Error, Result, Storage, StorageExt};
use uuid::Uuid;

use crate::fields::{check_frame, check_place, guid_at, u32_at, u64_at};
use crate::layout::{
    ALIGN, BAT_REGION, ENTRY_LEN, MAX_ENTRIES, METADATA_REGION, REGION_COUNT_AT, REGION_ENTRIES_AT, REGION_LENGTH_AT,
    REGION_OFFSET_AT, REGION_REQUIRED_AT, REGION_SIGNATURE, REGION_TABLE_LEN, REGION_TABLES_AT,
};

/// Where things are that are no blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Regions {
    /// Host bytes of the block allocation table.
    pub(crate) bat: Range<u64>,
    /// Host bytes of the metadata.
    pub(crate) metadata: Range<u64>,
    /// What no block may lie in, ascending and apart: headers, log and all regions.
    pub(crate) taken: Vec<Range<u64>>,
    /// Which table counts: 1 or 2.
    pub(crate) table: usize,
    /// What is wrong with the first table, if anything is.
    pub(crate) first_fault: Option<String>,
}

impl Regions {
    /// Reads the first region table, or the second one where the first is damaged.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), of the first one, where neither can be used.
    pub(crate) fn read(storage: &dyn Storage, log: Range<u64>) -> Result<Self> {
        let read = |host: u64| {
            let bytes = storage.read_vec(host, REGION_TABLE_LEN)?;
            Self::parse(&bytes, host, log.clone())
        };
        let first = match read(REGION_TABLES_AT[0]) {
            Ok(regions) => return Ok(regions),
            Err(error) => error,
        };
        match read(REGION_TABLES_AT[1]) {
            Ok(regions) => Ok(Self { table: 2, first_fault: Some(first.to_string()), ..regions }),
            Err(_) => Err(first),
        }
    }

    /// The first of the places that are taken and that `range` overlaps.
    pub(crate) fn taken_within(&self, range: Range<u64>) -> Option<&Range<u64>> {
        let first = self.taken.partition_point(|taken| taken.end <= range.start);
        self.taken.get(first).filter(|taken| taken.start < range.end)
    }

    /// Parses the table that is at host byte `host`; the log is at `log`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where a rule is broken,
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for a region that is required and not known.
    pub(crate) fn parse(bytes: &[u8], host: u64, log: Range<u64>) -> Result<Self> {
        check_frame(bytes, REGION_SIGNATURE, host)?;
        let count = u32_at(bytes, REGION_COUNT_AT);
        let count = usize::try_from(count).ok().filter(|&count| count <= MAX_ENTRIES).ok_or_else(|| {
            let what = format!("is {count}, above {MAX_ENTRIES}");
            Error::malformed(what).field("EntryCount").at(host + REGION_COUNT_AT as u64)
        })?;
        let (mut bat, mut metadata) = (None, None);
        let mut taken = vec![0..ALIGN, log];
        for (index, entry) in bytes[REGION_ENTRIES_AT..].chunks_exact(ENTRY_LEN).take(count).enumerate() {
            let at = host + (REGION_ENTRIES_AT + index * ENTRY_LEN) as u64;
            let (guid, place) = parse_entry(entry).map_err(|e| e.at(at + REGION_OFFSET_AT as u64))?;
            let slot = match guid {
                BAT_REGION => &mut bat,
                METADATA_REGION => &mut metadata,
                _ => &mut None,
            };
            if slot.replace(place.clone()).is_some() {
                return Err(Error::malformed(format!("{guid} is there twice")).field("Guid").at(at));
            }
            taken.push(place);
        }
        let missing = |what: &str| Error::malformed(format!("the region table names no {what}")).at(host);
        let taken = apart(taken).map_err(|e| e.at(host))?;
        Ok(Self {
            bat: bat.ok_or_else(|| missing("block allocation table"))?,
            metadata: metadata.ok_or_else(|| missing("metadata"))?,
            taken,
            table: 1,
            first_fault: None,
        })
    }
}

/// The identifier and the place of a region.
fn parse_entry(entry: &[u8]) -> Result<(Uuid, Range<u64>)> {
    let guid = guid_at(entry, 0);
    let (offset, len) = (u64_at(entry, REGION_OFFSET_AT), u64::from(u32_at(entry, REGION_LENGTH_AT)));
    let required = u32_at(entry, REGION_REQUIRED_AT) & 1 != 0;
    if required && guid != BAT_REGION && guid != METADATA_REGION {
        return Err(Error::unsupported(format!("{guid} is required, and not known")).field("Guid"));
    }
    check_place(offset, len).map_err(|e| e.field("FileOffset"))?;
    Ok((guid, offset..offset + len))
}

/// The ranges in ascending order.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where two overlap.
fn apart(mut ranges: Vec<Range<u64>>) -> Result<Vec<Range<u64>>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    match ranges.windows(2).find(|pair| pair[0].end > pair[1].start) {
        Some(pair) => Err(Error::malformed(format!("the regions at bytes {:?} and {:?} overlap", pair[0], pair[1]))),
        None => Ok(ranges),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_found_by_its_bytes() {
        let taken = apart(vec![30..40, 0..10, 20..20, 10..20]).unwrap();
        assert_eq!(taken, [0..10, 10..20, 30..40]);
        let regions = Regions { bat: 0..1, metadata: 0..1, taken, table: 1, first_fault: None };
        for (range, found) in
            [(5..6, Some(0..10)), (10..11, Some(10..20)), (20..30, None), (20..31, Some(30..40)), (40..99, None)]
        {
            assert_eq!(regions.taken_within(range).cloned(), found);
        }
        assert!(apart(vec![0..10, 9..11]).is_err());
    }
}
