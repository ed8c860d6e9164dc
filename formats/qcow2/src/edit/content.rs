//! The guest bytes of one cluster, as they are now.

use imgfmt_core::{Error, ErrorKind, Result, StorageExt};

use super::disk::Disk;
use crate::entry::Entry;
use crate::extended::{Extended, Parts};
use crate::layout::SUBCLUSTERS;

impl Disk<'_> {
    /// Fills `buf` with the guest bytes of the cluster at guest byte `guest` from byte `from` of it on.
    ///
    /// # Errors
    ///
    /// [`Missing`](ErrorKind::Missing) where some are the parent's; what reading and decoding meet.
    pub(super) fn read_part(&mut self, guest: u64, from: u64, buf: &mut [u8]) -> Result<()> {
        let words = self.words(guest)?;
        match self.decode(words)? {
            Extended::Whole(entry) => self.read_entry(entry, guest, from, buf),
            Extended::Parts(parts) => self.read_subclusters(parts, guest, from, buf),
        }
    }

    /// What an entry says. Without subclusters, it says it of the whole cluster.
    ///
    /// # Errors
    ///
    /// As [`Extended::decode`].
    pub(super) fn decode(&self, words: [u64; 2]) -> Result<Extended> {
        if self.header.l2.extended() {
            return Extended::decode(self.rules, self.cluster(), words).map_err(|blamed| blamed.error);
        }
        self.rules.decode(words[0]).map(Extended::Whole)
    }

    /// Reads a part of a cluster that is all of one kind.
    fn read_entry(&mut self, entry: Entry, guest: u64, from: u64, buf: &mut [u8]) -> Result<()> {
        match entry {
            Entry::Unallocated if self.has_parent => {
                Err(Error::new(ErrorKind::Missing, format!("guest byte {} is in the parent", guest + from)))
            }
            Entry::Unallocated | Entry::Zero => {
                buf.fill(0);
                Ok(())
            }
            Entry::Data(host) => self.read_data(host + from, guest + from, buf),
            Entry::Compressed { host, stored_len } => self.read_compressed(host, stored_len, from, buf),
        }
    }

    /// Reads a part of a cluster with subclusters.
    fn read_subclusters(&mut self, parts: Parts, guest: u64, from: u64, buf: &mut [u8]) -> Result<()> {
        let bits = self.header.l2.grain_bits();
        let end = from + buf.len() as u64;
        let mut index = u32::try_from(from >> bits).unwrap_or(SUBCLUSTERS);
        while index < SUBCLUSTERS && u64::from(index) << bits < end {
            let (entry, count) = parts.run(index);
            let run = u64::from(index) << bits..u64::from(index + count) << bits;
            let part = run.start.max(from)..run.end.min(end);
            let place = usize::try_from(part.start - from).unwrap_or(0)..usize::try_from(part.end - from).unwrap_or(0);
            // The run's entry names the host byte of its first subcluster.
            let entry = match entry {
                Entry::Data(host) => Entry::Data(host - run.start),
                other => other,
            };
            self.read_entry(entry, guest, part.start, &mut buf[place])?;
            index += count;
        }
        Ok(())
    }

    /// Reads stored bytes; whole sectors where they are encrypted.
    fn read_data(&self, host: u64, guest: u64, buf: &mut [u8]) -> Result<()> {
        let medium = self.data.as_ref().unwrap_or(&self.medium);
        let Some(encryption) = &self.encryption else {
            medium.read_padded(buf, host)?;
            return Ok(());
        };
        let before = host % SECTOR_LEN;
        let len = (before + buf.len() as u64).next_multiple_of(SECTOR_LEN);
        let mut sectors = vec![0; usize::try_from(len).unwrap_or(0)];
        medium.read_padded(&mut sectors, host - before)?;
        encryption.decrypt(&mut sectors, host - before, guest - before)?;
        let start = usize::try_from(before).unwrap_or(0);
        buf.copy_from_slice(&sectors[start..start + buf.len()]);
        Ok(())
    }

    /// Decodes a compressed cluster.
    fn read_compressed(&mut self, host: u64, stored_len: u32, from: u64, buf: &mut [u8]) -> Result<()> {
        let there = self.medium.len().saturating_sub(host).min(u64::from(stored_len));
        let stored = self.medium.read_vec(host, usize::try_from(there).unwrap_or(0))?;
        let mut plain = vec![0; self.cluster().in_memory()];
        let decoded = self.decoder.decode(self.header.codec, &stored, &mut plain);
        let len = decoded.map_err(|fault| Error::malformed(format!("a compressed cluster {fault}")).at(host))?;
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        if from + buf.len() > len {
            return Err(Error::malformed("a compressed cluster ends too early").at(host));
        }
        buf.copy_from_slice(&plain[from..from + buf.len()]);
        Ok(())
    }

    /// Stores `bytes` at host byte `host`, where they show at guest byte `guest`; whole sectors where they are encrypted.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io).
    pub(super) fn store(&self, bytes: &[u8], host: u64, guest: u64) -> Result<()> {
        let medium = self.data.as_ref().unwrap_or(&self.medium);
        let Some(encryption) = &self.encryption else { return medium.write_at(bytes, host) };
        let mut sectors = bytes.to_vec();
        encryption.encrypt(&mut sectors, host, guest)?;
        medium.write_at(&sectors, host)
    }
}

/// Bytes of a sector, which is encrypted as one.
pub(super) const SECTOR_LEN: u64 = 512;
