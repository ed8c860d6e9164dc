//! Writing the log: sectors that are to be changed together.

use uuid::Uuid;

use crate::fields::{put, seal};
use crate::layout::{
    DATA_DESCRIPTOR, DATA_SECTOR, DESCRIPTOR_LEN, DESCRIPTOR_OFFSET_AT, DESCRIPTOR_SEQUENCE_AT, LEADING_AT,
    LOG_COUNT_AT, LOG_ENTRY_GUID_AT, LOG_ENTRY_LENGTH_AT, LOG_FLUSHED_AT, LOG_HEADER_LEN, LOG_LAST_AT, LOG_SECTOR_LEN,
    LOG_SEQUENCE_AT, LOG_SIGNATURE, SEQUENCE_LOW_AT, TRAILING_AT,
};

/// A sector and its host byte.
pub(crate) type Sector<'a> = (u64, &'a [u8; LOG_SECTOR_LEN]);

/// The most sectors that a log of `log_len` bytes holds.
pub(crate) fn capacity(log_len: u64) -> usize {
    let sectors = usize::try_from(log_len).unwrap_or(usize::MAX) / LOG_SECTOR_LEN;
    let whole = sectors / (MAX_DESCRIPTORS + 1);
    whole * MAX_DESCRIPTORS + (sectors % (MAX_DESCRIPTORS + 1)).saturating_sub(1)
}

/// The sequence of entries that makes `sectors` what they are to be, from the start of the log on. The file is safely
/// `file_len` bytes long.
pub(crate) fn sequence(sectors: &[Sector<'_>], guid: Uuid, file_len: u64) -> Vec<u8> {
    let entries = sectors.chunks(MAX_DESCRIPTORS).zip(1..);
    entries.flat_map(|(sectors, number)| entry(sectors, number, guid, file_len)).collect()
}

/// Entry `number` of a sequence that begins at the start of the log.
fn entry(sectors: &[Sector<'_>], number: u64, guid: Uuid, file_len: u64) -> Vec<u8> {
    let len = (1 + sectors.len()) * LOG_SECTOR_LEN;
    let mut bytes = vec![0; len];
    put(&mut bytes, 0, &LOG_SIGNATURE);
    put(&mut bytes, LOG_ENTRY_LENGTH_AT, &low(len as u64).to_le_bytes());
    put(&mut bytes, LOG_SEQUENCE_AT, &number.to_le_bytes());
    put(&mut bytes, LOG_COUNT_AT, &low(sectors.len() as u64).to_le_bytes());
    put(&mut bytes, LOG_ENTRY_GUID_AT, &guid.to_bytes_le());
    put(&mut bytes, LOG_FLUSHED_AT, &file_len.to_le_bytes());
    put(&mut bytes, LOG_LAST_AT, &file_len.to_le_bytes());
    for (index, (at, sector)) in sectors.iter().enumerate() {
        let descriptor = &mut bytes[LOG_HEADER_LEN + index * DESCRIPTOR_LEN..][..DESCRIPTOR_LEN];
        put(descriptor, 0, &DATA_DESCRIPTOR);
        put(descriptor, TRAILING_AT, &sector[SEQUENCE_LOW_AT..]);
        put(descriptor, LEADING_AT, &sector[..8]);
        put(descriptor, DESCRIPTOR_OFFSET_AT, &at.to_le_bytes());
        put(descriptor, DESCRIPTOR_SEQUENCE_AT, &number.to_le_bytes());
        let data = &mut bytes[(1 + index) * LOG_SECTOR_LEN..][..LOG_SECTOR_LEN];
        put(data, 0, &DATA_SECTOR);
        put(data, 4, &low(number >> 32).to_le_bytes());
        put(data, 8, &sector[8..SEQUENCE_LOW_AT]);
        put(data, SEQUENCE_LOW_AT, &low(number).to_le_bytes());
    }
    seal(&mut bytes);
    bytes
}

/// The low half of a number.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
fn low(number: u64) -> u32 {
    number as u32
}

/// Descriptors of an entry: as many as its first sector holds, since QEMU refuses more.
const MAX_DESCRIPTORS: usize = (LOG_SECTOR_LEN - LOG_HEADER_LEN) / DESCRIPTOR_LEN;

#[cfg(test)]
mod tests {
    use super::super::Search;
    use super::super::entry::{Change, Ring};
    use super::*;
    use crate::header::Header;
    use std::ops::ControlFlow;

    #[test]
    fn a_sequence_that_fills_the_log_is_read_as_it_was_written() {
        assert_eq!((capacity(0), capacity(4096), capacity(1 << 20), capacity(3 << 20)), (0, 0, 253, 761));
        let fill = |index: usize| std::array::from_fn(|at| (at * 31 + index) as u8);
        let all: Vec<[u8; LOG_SECTOR_LEN]> = (0..capacity(1 << 20)).map(fill).collect();
        let sectors: Vec<_> = all.iter().enumerate().map(|(index, bytes)| (index as u64 * 8192, bytes)).collect();
        let guid = Uuid::new_v4();
        let mut log = sequence(&sectors, guid, 5 << 20);
        assert_eq!(log.len(), 1 << 20);
        log.resize(1 << 20, 0);
        let header = Header {
            sequence_number: 1,
            file_write_guid: guid,
            data_write_guid: guid,
            log_guid: guid,
            log_offset: 1 << 20,
            log_len: 1 << 20,
        };
        let ring = Ring(&log);
        let found = Search::new(ring, &header).active().unwrap().unwrap();
        let mut read = Vec::new();
        for entry in &found {
            assert_eq!((entry.flushed, entry.last), (5 << 20, 5 << 20));
            let whole = entry.changes(ring, |change| {
                if let Change::Sector { at, parts } = change {
                    read.push((at, parts.concat()));
                }
                ControlFlow::Continue(())
            });
            assert!(whole.is_some());
        }
        assert_eq!(read.len(), sectors.len());
        assert!(read.iter().zip(&sectors).all(|(read, known)| read.0 == known.0 && read.1 == known.1));
    }
}
