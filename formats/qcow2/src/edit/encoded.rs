//! Writing units that are compressed already. Several share a cluster, one behind the other.

use imgfmt_core::codec::Compression;
use imgfmt_core::{Error, Result};

use super::disk::Disk;
use super::write::whole_entry;
use crate::entry::compressed_entry;
use crate::layout::compressed_offset_bits;

impl Disk<'_> {
    /// How clusters are compressed. Those of an image that is encrypted, or that has a data file, are not.
    pub(super) fn compression(&self) -> Option<Compression> {
        let can = self.data.is_none() && !self.header.features.data_file() && self.encryption.is_none();
        // A cluster that does not shrink by a byte at least is stored as it is.
        can.then(|| Compression::new(self.header.codec, self.cluster().in_memory() - 1))
    }

    /// Stores the cluster at guest byte `guest` as the stream `stored`.
    ///
    /// # Errors
    ///
    /// As [`ImageEditor::write_encoded`](imgfmt_core::ImageEditor::write_encoded).
    pub(super) fn write_encoded(&mut self, stored: &[u8], guest: u64) -> Result<()> {
        let len = self.check_encoded(stored, guest)?;
        let words = self.words(guest)?;
        let entry = whole_entry(&self.decode(words)?);
        self.check_let_go(words[0], entry)?;
        self.record.mark(guest..(guest + self.cluster().len()).min(self.size));
        let host = self.place_stream(u64::from(len))?;
        self.medium.write_at(stored, host)?;
        self.set_words(guest, [compressed_entry(host, len, self.cluster().bits()), 0])?;
        self.let_go(words[0], entry)?;
        self.flush_if_large()
    }

    /// The length of a stream that may be stored for the cluster at guest byte `guest`.
    fn check_encoded(&self, stored: &[u8], guest: u64) -> Result<u32> {
        let Some(compression) = self.compression() else {
            return Err(Error::unsupported("an image that is encrypted or has a data file has no compressed clusters"));
        };
        self.check_range(guest, 1)?;
        if !self.cluster().aligns(guest) || stored.is_empty() || stored.len() > compression.max_len {
            let what = format!("{} bytes cannot be the stream of a cluster at guest byte {guest}", stored.len());
            return Err(Error::invalid(what));
        }
        u32::try_from(stored.len()).map_err(|_| Error::invalid("the stream of a cluster is too long"))
    }

    /// A place for a stream of `len` bytes, less than a cluster: behind the last one, as far as its cluster has room, or the next
    /// one is free. Each cluster that it touches is used once more.
    fn place_stream(&mut self, len: u64) -> Result<u64> {
        let (bits, unit) = (self.cluster().bits(), self.cluster().len());
        let (most, tail) = (self.counts.width.max(), self.tail);
        let mut host = match tail {
            Some(tail) if self.uses(tail)? < most => tail,
            _ => self.take()?,
        };
        if host.is_multiple_of(unit) {
            return self.end_stream(host, host + len);
        }
        if host % unit + len > unit {
            let next = self.take()?;
            if next != (host | (unit - 1)) + 1 {
                host = next;
                return self.end_stream(host, host + len);
            }
        }
        self.count_up(host >> bits)?;
        self.end_stream(host, host + len)
    }

    /// Notes that a stream lies from `host` to `end`.
    fn end_stream(&mut self, host: u64, end: u64) -> Result<u64> {
        if end >> compressed_offset_bits(self.cluster().bits()).min(63) != 0 {
            return Err(Error::limit("a compressed cluster would lie where no entry can say it"));
        }
        self.tail = Some(end).filter(|end| !self.cluster().aligns(*end));
        Ok(host)
    }
}
