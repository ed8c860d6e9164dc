//! Writing guest bytes in whole sectors: what a disk writes as one. Of two writes to one sector, the second may come to
//! the medium without the first.

use std::ops::Range;

use imgfmt_core::{Medium, Result, StorageExt, write_zeros};

use super::write::usize_of;
use crate::layout::SECTOR_LEN;

/// Writes `bytes` to host byte `at`, with what is around them in their first and last sector.
pub(super) fn write_sectors(medium: &dyn Medium, bytes: &[u8], at: u64) -> Result<()> {
    let end = at + bytes.len() as u64;
    let (first, last) = (at / SECTOR_LEN * SECTOR_LEN, end.next_multiple_of(SECTOR_LEN));
    if (first, last) == (at, end) {
        return medium.write_at(bytes, at);
    }
    let mut next = at;
    let mut rest = bytes;
    if first < at || last - first == SECTOR_LEN {
        let here = usize_of((first + SECTOR_LEN).min(end) - at);
        write_within(medium, &rest[..here], at)?;
        next += here as u64;
        rest = &rest[here..];
    }
    let whole = rest.len() / SECTOR * SECTOR;
    if whole > 0 {
        medium.write_at(&rest[..whole], next)?;
    }
    if rest.len() > whole { write_within(medium, &rest[whole..], next + whole as u64) } else { Ok(()) }
}

/// Writes `bytes`, which are in one sector, with what is around them.
fn write_within(medium: &dyn Medium, bytes: &[u8], at: u64) -> Result<()> {
    let mut sector = [0; SECTOR];
    let start = at / SECTOR_LEN * SECTOR_LEN;
    medium.read_padded(&mut sector, start)?;
    let from = usize_of(at - start);
    sector[from..from + bytes.len()].copy_from_slice(bytes);
    medium.write_at(&sector, start)
}

/// Makes the host bytes of `range` zero, keeping their space where that is asked for.
pub(super) fn zero(medium: &dyn Medium, range: Range<u64>, keeps_space: bool) -> Result<()> {
    let (first, last) = (range.start.next_multiple_of(SECTOR_LEN), range.end / SECTOR_LEN * SECTOR_LEN);
    if first >= last {
        return write_sectors(medium, &vec![0; usize_of(range.end - range.start)], range.start);
    }
    write_sectors(medium, &vec![0; usize_of(first - range.start)], range.start)?;
    if keeps_space {
        write_zeros(medium, first..last)?
    } else {
        medium.clear(first..last)?
    }
    write_sectors(medium, &vec![0; usize_of(range.end - last)], last)
}

/// Bytes of a sector.
const SECTOR: usize = SECTOR_LEN as usize;

#[cfg(test)]
mod tests {
    use imgfmt_core::{MemoryMedium, Storage};

    use super::*;

    #[test]
    fn any_range_is_written_and_nothing_around_it() {
        for (at, len) in [(0, 512), (10, 20), (500, 24), (500, 12), (512, 100), (700, 2000), (0, 1), (1023, 2), (5, 0)]
        {
            let medium = MemoryMedium::new(&[7; 4096]);
            write_sectors(&medium, &vec![9; usize_of(len)], at).unwrap();
            let is = |index: u64| if (at..at + len).contains(&index) { 9 } else { 7 };
            assert!((0..4096).zip(medium.to_vec()).all(|(index, byte)| byte == is(index)), "{at} {len}");
            for keeps in [false, true] {
                zero(&medium, at..at + len, keeps).unwrap();
                let is = |index: u64| if (at..at + len).contains(&index) { 0 } else { 7 };
                assert!((0..4096).zip(medium.to_vec()).all(|(index, byte)| byte == is(index)), "{at} {len}");
            }
            assert_eq!(medium.len(), 4096);
        }
    }
}
