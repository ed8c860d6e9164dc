//! Writing guest bytes.

use std::borrow::Cow;
use std::ops::Range;

use imgfmt_core::{Error, Result};

use super::content::SECTOR_LEN;
use super::disk::{Disk, L2};
use crate::entry::Entry;
use crate::extended::Extended;
use crate::layout::{COMPRESSED, COPIED, OFFSET_MASK, SUBCLUSTERS, SUBCLUSTERS_STORED};

impl Disk<'_> {
    /// Writes guest bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// As [`ImageEditor::write_at`](imgfmt_core::ImageEditor::write_at).
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let end = self.check_range(offset, bytes.len() as u64)?;
        self.record.mark(offset..end);
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let guest = at - at % self.cluster().len();
            let len = usize::try_from((guest + self.cluster().len()).min(end) - at).unwrap_or(0);
            let (part, behind) = rest.split_at(len);
            self.write_part(guest, at - guest, part)?;
            self.flush_if_large()?;
            at += len as u64;
            rest = behind;
        }
        Ok(())
    }

    /// The end of a range of guest bytes, which is within the disk.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where it is not.
    pub(super) fn check_range(&self, offset: u64, len: u64) -> Result<u64> {
        offset.checked_add(len).filter(|end| *end <= self.size).ok_or_else(|| {
            let size = self.size;
            Error::out_of_bounds(format!("{len} guest bytes from {offset} on pass the end of a disk of {size} bytes"))
        })
    }

    /// Writes `bytes` into the cluster at guest byte `guest`, from byte `from` of it on.
    fn write_part(&mut self, guest: u64, from: u64, bytes: &[u8]) -> Result<()> {
        if self.header.l2.extended() {
            return self.write_subclusters(guest, from, bytes);
        }
        let words = self.words(guest)?;
        let entry = self.rules.decode(words[0])?;
        if let Entry::Data(host) = entry
            && self.is_own(host)?
        {
            return self.overwrite(host, guest, from, bytes);
        }
        let content = self.merged(guest, from, bytes)?;
        // A zero cluster may have a place of its own already.
        let kept = words[0] & OFFSET_MASK;
        if entry == Entry::Zero && kept != 0 && self.is_own(kept)? {
            self.store(&content, kept, guest)?;
            return self.set_words(guest, [kept | COPIED, 0]);
        }
        self.check_let_go(words[0], entry)?;
        let host = self.place_for(guest)?;
        let stored = self.store(&content, host, guest).and_then(|()| self.set_words(guest, [host | COPIED, 0]));
        if stored.is_err() && self.data.is_none() {
            self.give_up(host >> self.cluster().bits());
        }
        stored?;
        self.let_go(words[0], entry)
    }

    /// Whether the cluster at host byte `host` is used by nothing but the active state.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is a table, and what reading refcounts meets.
    pub(super) fn is_own(&mut self, host: u64) -> Result<bool> {
        if self.data.is_some() {
            return Ok(true);
        }
        self.reserved.check_data(host >> self.cluster().bits())?;
        Ok(self.uses(host)? == 1)
    }

    /// A place for the cluster at guest byte `guest`.
    pub(super) fn place_for(&mut self, guest: u64) -> Result<u64> {
        if self.data.is_some() { Ok(guest) } else { self.take() }
    }

    /// Gives up what an entry referred to, which nothing in memory refers to any more: what fails before that leaves it in use.
    ///
    /// # Errors
    ///
    /// As [`check_let_go`](Self::check_let_go).
    pub(super) fn let_go(&mut self, raw: u64, entry: Entry) -> Result<()> {
        self.check_let_go(raw, entry)?;
        self.clusters_of(raw, entry).for_each(|cluster| self.give_up(cluster));
        Ok(())
    }

    /// Checks that what an entry refers to may be given up.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where that is a table: a free table would be written over.
    pub(super) fn check_let_go(&self, raw: u64, entry: Entry) -> Result<()> {
        self.clusters_of(raw, entry).try_for_each(|cluster| self.reserved.check_data(cluster))
    }

    /// The clusters of the image's file that an entry refers to.
    fn clusters_of(&self, raw: u64, entry: Entry) -> Range<u64> {
        let bits = self.cluster().bits();
        match entry {
            _ if self.data.is_some() => 0..0,
            Entry::Compressed { host, stored_len } => {
                host >> bits..host.saturating_add(u64::from(stored_len)).div_ceil(self.cluster().len())
            }
            _ if raw & COMPRESSED == 0 && raw & OFFSET_MASK != 0 => {
                let cluster = (raw & OFFSET_MASK) >> bits;
                cluster..cluster + 1
            }
            _ => 0..0,
        }
    }

    /// The whole cluster at guest byte `guest`, with `bytes` from byte `from` of it on; what lies behind the end of the disk is
    /// zero.
    fn merged<'b>(&mut self, guest: u64, from: u64, bytes: &'b [u8]) -> Result<Cow<'b, [u8]>> {
        if bytes.len() == self.cluster().in_memory() {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut content = vec![0; self.cluster().in_memory()];
        let there = usize::try_from(self.size - guest).unwrap_or(usize::MAX).min(content.len());
        let place = place(from, bytes.len());
        if place != (0..there) {
            self.read_part(guest, 0, &mut content[..there])?;
        }
        content[place].copy_from_slice(bytes);
        Ok(Cow::Owned(content))
    }

    /// Writes over bytes that have a place, from byte `from` of the cluster at host byte `host` on.
    fn overwrite(&mut self, host: u64, guest: u64, from: u64, bytes: &[u8]) -> Result<()> {
        if self.encryption.is_none() {
            return self.store(bytes, host + from, guest + from);
        }
        let before = from % SECTOR_LEN;
        let len = (before + bytes.len() as u64).next_multiple_of(SECTOR_LEN);
        let mut sectors = vec![0; usize::try_from(len).unwrap_or(0)];
        let start = from - before;
        if before != 0 || len != bytes.len() as u64 {
            self.read_part(guest, start, &mut sectors)?;
        }
        sectors[place(before, bytes.len())].copy_from_slice(bytes);
        self.store(&sectors, host + start, guest + start)
    }

    /// Writes into a cluster with subclusters: those that get their first bytes are filled.
    fn write_subclusters(&mut self, guest: u64, from: u64, bytes: &[u8]) -> Result<()> {
        let filled = self.filled_subclusters(guest, from, bytes)?;
        let words = self.words(guest)?;
        let decoded = self.decode(words)?;
        let (host, mut bitmap) = self.own_cluster(guest)?;
        let bits = self.header.l2.grain_bits();
        let end = from + bytes.len() as u64;
        for index in (from >> bits)..=((end - 1) >> bits) {
            let sub = index << bits..(index + 1) << bits;
            let part = sub.start.max(from)..sub.end.min(end);
            let piece = &bytes[place(part.start - from, usize::try_from(part.end - part.start).unwrap_or(0))];
            if bitmap >> index & 1 == 1 {
                self.overwrite(host, guest, part.start, piece)?;
                continue;
            }
            let filled = filled.iter().find(|(filled, _)| *filled == index).map(|(_, content)| content.as_slice());
            self.store(filled.unwrap_or(piece), host + sub.start, guest + sub.start)?;
            bitmap = (bitmap | 1 << index) & !(1 << (index + u64::from(SUBCLUSTERS)));
        }
        self.set_words(guest, [host | COPIED, bitmap])?;
        if words[0] & (COMPRESSED | OFFSET_MASK) == host {
            Ok(())
        } else {
            self.let_go(words[0], whole_entry(&decoded))
        }
    }

    /// The whole subclusters that `bytes` are a part of, where they are not stored yet. That is found out before anything is
    /// taken, for it may be the parent's.
    fn filled_subclusters(&mut self, guest: u64, from: u64, bytes: &[u8]) -> Result<Vec<(u64, Vec<u8>)>> {
        let bits = self.header.l2.grain_bits();
        let end = from + bytes.len() as u64;
        let words = self.words(guest)?;
        let stored = match self.decode(words)? {
            Extended::Whole(Entry::Data(_) | Entry::Compressed { .. }) => SUBCLUSTERS_STORED,
            Extended::Whole(_) => 0,
            Extended::Parts(_) => words[1] & SUBCLUSTERS_STORED,
        };
        let mut filled = Vec::new();
        let (first, last) = (from >> bits, (end - 1) >> bits);
        for index in std::iter::once(first).chain((last > first).then_some(last)) {
            let sub = index << bits..(index + 1) << bits;
            let part = sub.start.max(from)..sub.end.min(end);
            if stored >> index & 1 == 1 || part == sub {
                continue;
            }
            let mut content = vec![0; 1 << bits];
            let there = sub.end.min(self.size - guest);
            if part != (sub.start..there) {
                let known = usize::try_from(there - sub.start).unwrap_or(0);
                self.read_part(guest, sub.start, &mut content[..known])?;
            }
            let len = usize::try_from(part.end - part.start).unwrap_or(0);
            content[place(part.start - sub.start, len)].copy_from_slice(&bytes[place(part.start - from, len)]);
            filled.push((index, content));
        }
        Ok(filled)
    }

    /// The host byte of a cluster that is used by nothing else, for the one at guest byte `guest`, and which subclusters of it
    /// are stored there. What the entry refers to now is not given up.
    fn own_cluster(&mut self, guest: u64) -> Result<(u64, u64)> {
        let words = self.words(guest)?;
        let decoded = self.decode(words)?;
        self.check_let_go(words[0], whole_entry(&decoded))?;
        if let Extended::Whole(Entry::Compressed { .. }) = decoded {
            let content = self.merged(guest, 0, &[])?;
            let host = self.place_for(guest)?;
            self.store(&content, host, guest)?;
            return Ok((host, SUBCLUSTERS_STORED));
        }
        let host = words[0] & OFFSET_MASK;
        let has_cluster = host != 0 || (self.data.is_some() && words[0] & COPIED != 0);
        if has_cluster && self.is_own(host)? {
            return Ok((host, words[1]));
        }
        let place = self.place_for(guest)?;
        if has_cluster {
            self.copy_stored(guest, place, words[1])?;
        }
        Ok((place, words[1]))
    }

    /// Copies the subclusters that are stored of the cluster at guest byte `guest` to host byte `to`.
    fn copy_stored(&mut self, guest: u64, to: u64, bitmap: u64) -> Result<()> {
        let bits = self.header.l2.grain_bits();
        let mut content = vec![0; 1 << bits];
        for index in (0..u64::from(SUBCLUSTERS)).filter(|index| bitmap >> index & 1 == 1) {
            self.read_part(guest, index << bits, &mut content)?;
            self.store(&content, to + (index << bits), guest + (index << bits))?;
        }
        Ok(())
    }

    /// Makes `words` the L2 entry of the cluster at guest byte `guest`, in memory.
    ///
    /// # Errors
    ///
    /// As [`take`](Disk::take).
    pub(super) fn set_words(&mut self, guest: u64, words: [u64; 2]) -> Result<()> {
        let (l1_index, word) = self.place(guest);
        let extended = self.header.l2.extended();
        let table = self.own_table(l1_index)?;
        if table.words[word] != words[0] || (extended && table.words[word + 1] != words[1]) {
            table.words[word] = words[0];
            if extended {
                table.words[word + 1] = words[1];
            }
            table.dirty = true;
        }
        Ok(())
    }

    /// The L2 table under an L1 entry, used by nothing else: made where there is none, copied where a snapshot uses it, too.
    fn own_table(&mut self, l1_index: usize) -> Result<&mut L2> {
        let host = self.l1.get(l1_index).copied().unwrap_or(0) & OFFSET_MASK;
        if host == 0 || self.uses(host)? > 1 {
            let words = match self.l2_table(l1_index)? {
                Some(table) => table.words.clone(),
                None => vec![0; usize::try_from(self.header.l2.words()).unwrap_or(0)],
            };
            let place = self.take()?;
            if host != 0 {
                self.give_up(host >> self.cluster().bits());
            }
            let entry =
                self.l1.get_mut(l1_index).ok_or_else(|| Error::out_of_bounds("the L1 table has no such entry"))?;
            *entry = place | COPIED;
            self.l1_dirty = true;
            self.l2.insert(l1_index, L2 { host: place, words, dirty: true });
        }
        self.l2_table(l1_index)?.ok_or_else(|| Error::malformed("an L2 table is missing"))
    }
}

/// What an entry says of its cluster as a whole, as far as giving it up goes.
pub(super) fn whole_entry(decoded: &Extended) -> Entry {
    match decoded {
        Extended::Whole(entry) => *entry,
        Extended::Parts(_) => Entry::Unallocated,
    }
}

/// The place of `len` bytes from byte `from` on.
fn place(from: u64, len: usize) -> Range<usize> {
    let start = usize::try_from(from).unwrap_or(usize::MAX);
    start..start.saturating_add(len)
}
