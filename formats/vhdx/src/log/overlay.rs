//! A file with some of its sectors replaced.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use imgfmt_core::{Error, FileSlice, Limits, Result, Segment, Storage};

use super::entry::Change;
use crate::layout::LOG_SECTOR_LEN;

/// Sectors and runs of zeros by their first host byte, apart from each other.
#[derive(Debug)]
pub(super) struct Patches {
    /// What replaces the bytes from each place on.
    map: BTreeMap<u64, Patch>,
    /// How many there may be.
    max: u64,
}

/// What replaces bytes of the file.
#[derive(Debug)]
pub(super) enum Patch {
    /// A sector.
    Sector(Box<[u8]>),
    /// This many zeros: whole sectors.
    Zero(u64),
}

impl Patch {
    /// How many bytes it replaces.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Sector(bytes) => bytes.len() as u64,
            Self::Zero(len) => *len,
        }
    }
}

impl Patches {
    /// No patches, and room for `max`.
    pub(super) fn new(max: u64) -> Self {
        Self { map: BTreeMap::new(), max }
    }

    /// Adds what a descriptor asks for, in place of what was asked for before.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where there are too many.
    pub(super) fn add(&mut self, change: &Change<'_>) -> Result<()> {
        let (at, patch) = match *change {
            Change::Sector { at, parts } => (at, Patch::Sector(parts.concat().into_boxed_slice())),
            Change::Zero { at, len } => (at, Patch::Zero(len)),
        };
        if patch.len() == 0 {
            return Ok(());
        }
        self.cut_out(at, at + patch.len());
        self.map.insert(at, patch);
        Limits::check("sectors in the log", self.map.len() as u64, self.max)
    }

    /// How long a file of `len` bytes is with the patches: zeros behind its end do not make it longer.
    pub(super) fn file_len(&self, len: u64) -> u64 {
        let end = self.map.last_key_value().map_or(0, |(at, patch)| match patch {
            Patch::Sector(_) => at + patch.len(),
            Patch::Zero(_) => 0,
        });
        len.max(end)
    }

    /// Removes what lies between two places. Only zeros can reach beyond one: all else is single sectors.
    fn cut_out(&mut self, start: u64, end: u64) {
        if let Some((&before, Patch::Zero(len))) = self.map.range_mut(..start).next_back()
            && before + *len > start
        {
            let old_end = before + *len;
            *len = start - before;
            self.keep_zeros(end, old_end);
        }
        while let Some((&at, patch)) = self.map.range(start..end).next() {
            let old_end = at + patch.len();
            let zero = matches!(patch, Patch::Zero(_));
            self.map.remove(&at);
            if zero {
                self.keep_zeros(end, old_end);
            }
        }
    }

    /// Puts back the zeros between two places, if there are any.
    fn keep_zeros(&mut self, start: u64, end: u64) {
        if start < end {
            self.map.insert(start, Patch::Zero(end - start));
        }
    }

    /// All patches, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Patch)> {
        self.map.iter().map(|(at, patch)| (*at, patch))
    }

    /// The patches that replace some of the bytes between two places, in order.
    pub(super) fn within(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, &Patch)> {
        let before = self.map.range(..start).next_back().filter(|(at, patch)| *at + patch.len() > start);
        before.into_iter().chain(self.map.range(start..end)).map(|(at, patch)| (*at, patch))
    }
}

/// A file as it will be once the log is replayed.
#[derive(Debug)]
pub(super) struct Overlay {
    /// The file.
    inner: Arc<dyn Storage>,
    /// What replaces some of it.
    patches: Patches,
    /// Bytes, the file's own or more.
    len: u64,
}

impl Overlay {
    /// `inner` with `patches`, made at least `len` bytes long.
    pub(super) fn new(inner: Arc<dyn Storage>, patches: Patches, len: u64) -> Self {
        let len = patches.file_len(inner.len().max(len));
        Self { inner, patches, len }
    }
}

impl Storage for Overlay {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|&end| end <= self.len).ok_or_else(|| {
            let what = format!("{} bytes are wanted here, but the file ends at byte {}", buf.len(), self.len);
            Error::out_of_bounds(what).at(offset)
        })?;
        let there = in_memory(self.inner.len().clamp(offset, end) - offset);
        buf[there..].fill(0);
        if there > 0 {
            self.inner.read_at(&mut buf[..there], offset)?;
        }
        for (at, patch) in self.patches.within(offset, end) {
            let (from, to) = (at.max(offset), (at + patch.len()).min(end));
            let part = &mut buf[in_memory(from - offset)..in_memory(to - offset)];
            match patch {
                Patch::Sector(bytes) => part.copy_from_slice(&bytes[in_memory(from - at)..][..part.len()]),
                Patch::Zero(_) => part.fill(0),
            }
        }
        Ok(())
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        if offset >= self.len {
            return Err(Error::out_of_bounds(format!("the file ends at byte {}", self.len)).at(offset));
        }
        let next = self.patches.within(offset, self.len).next();
        let (hole, end) = match next {
            Some((at, patch)) if at <= offset => (matches!(patch, Patch::Zero(_)), at + patch.len()),
            _ if offset >= self.inner.len() => (true, next.map_or(self.len, |(at, _)| at)),
            _ => {
                let inner = self.inner.segment(offset)?;
                (inner.hole, next.map_or(self.len, |(at, _)| at).min(offset + inner.len.get()))
            }
        };
        let len = NonZeroU64::new(end.min(self.len) - offset).unwrap_or(NonZeroU64::MIN);
        Ok(Segment { hole, len })
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

/// Converts a length that is bounded by a buffer in memory.
#[expect(clippy::cast_possible_truncation, reason = "the value is within a buffer in memory")]
fn in_memory(len: u64) -> usize {
    len as usize
}

/// Sectors are what patches are made of.
const _: () = assert!(LOG_SECTOR_LEN == 4096);

#[cfg(test)]
mod tests {
    use super::*;
    use imgfmt_core::MemoryStorage;

    const S: u64 = LOG_SECTOR_LEN as u64;

    fn sector(at: u64, fill: &'static [u8; 4096]) -> Change<'static> {
        Change::Sector { at: at * S, parts: [&fill[..8], &fill[8..4092], &fill[4092..]] }
    }

    /// Each sector of the overlay as the byte that fills it.
    fn shown(overlay: &Overlay) -> Vec<u8> {
        let mut bytes = vec![0xa5; in_memory(overlay.len())];
        overlay.read_at(&mut bytes, 0).unwrap();
        for (index, part) in bytes.chunks(777).enumerate() {
            let mut again = vec![0; part.len()];
            overlay.read_at(&mut again, index as u64 * 777).unwrap();
            assert_eq!(again, part);
        }
        bytes.chunks(LOG_SECTOR_LEN).map(|sector| sector[0]).collect()
    }

    fn overlay(changes: &[Change<'_>], len: u64) -> Overlay {
        let mut patches = Patches::new(100);
        changes.iter().for_each(|change| patches.add(change).unwrap());
        Overlay::new(Arc::new(MemoryStorage::new(vec![9; 6 * LOG_SECTOR_LEN])), patches, len)
    }

    #[test]
    fn later_changes_win_and_the_rest_shows() {
        let zero = |at, len| Change::Zero { at: at * S, len: len * S };
        assert_eq!(shown(&overlay(&[zero(1, 4), sector(2, &[7; 4096])], 0)), [9, 0, 7, 0, 0, 9]);
        assert_eq!(shown(&overlay(&[sector(2, &[7; 4096]), zero(1, 2)], 0)), [9, 0, 0, 9, 9, 9]);
        assert_eq!(shown(&overlay(&[zero(0, 3), zero(2, 3), sector(4, &[1; 4096])], 0)), [0, 0, 0, 0, 1, 9]);
        assert_eq!(shown(&overlay(&[sector(7, &[3; 4096])], 0)), [9, 9, 9, 9, 9, 9, 0, 3]);
        assert_eq!(shown(&overlay(&[], 7 * S)), [9, 9, 9, 9, 9, 9, 0]);
    }

    #[test]
    fn segments_end_where_something_changes() {
        let overlay = overlay(&[Change::Zero { at: S, len: 2 * S }, sector(4, &[7; 4096])], 8 * S);
        let segments: Vec<_> = [0, S, S + 1, 3 * S, 4 * S, 5 * S, 6 * S]
            .map(|at| overlay.segment(at).unwrap())
            .map(|s| (s.hole, s.len.get()))
            .to_vec();
        assert_eq!(
            segments,
            [(false, S), (true, 2 * S), (true, 2 * S - 1), (false, S), (false, S), (false, S), (true, 2 * S)]
        );
        assert!(overlay.segment(8 * S).is_err());
        assert!(overlay.read_at(&mut [0; 2], 8 * S - 1).is_err());
    }
}
