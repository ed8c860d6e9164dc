//! Editing in place: sectors are encrypted where they lie, so a cut leaves each of them old or new.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::{Edit, Erase, Error, Halt, Image, ImageEditor, Medium, OpenContext, Preallocation, Result, Storage};
use imgfmt_crypt::{LuksHeader, SECTOR_LEN, SectorCipher};

use crate::read::LuksImage;
use crate::{Luks, NAME, open, options};

impl Edit for Luks {
    fn edit<'a>(&self, medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Box<dyn ImageEditor + 'a>> {
        Ok(Box::new(LuksEditor::new(medium, context).map_err(|e| e.in_format(NAME))?))
    }
}

/// A container that is edited.
struct LuksEditor {
    /// The file.
    medium: Arc<dyn Medium>,
    /// Its header.
    header: LuksHeader,
    /// The cipher.
    cipher: Arc<dyn SectorCipher>,
    /// Held while a sector is changed in part: two that change the same one wait for each other.
    partly: Mutex<()>,
}

impl LuksEditor {
    /// Opens the container in `medium`.
    fn new(medium: Arc<dyn Medium>, context: &OpenContext<'_>) -> Result<Self> {
        context.without_snapshots()?;
        let medium = Halt::default().guard(medium);
        let header = open::read_header(medium.as_ref())?;
        // Whoever edits needs the key, also to describe what is edited.
        let secret = options::secret(&OpenContext { describe_only: false, ..*context })?;
        let read = |buf: &mut [u8], at| medium.read_at(buf, at);
        let cipher = header.unlock(secret.ok_or_else(options::no_secret)?, &read)?;
        Ok(Self { medium, header, cipher: Arc::from(cipher), partly: Mutex::new(()) })
    }

    /// Guest bytes of the disk.
    fn size(&self) -> u64 {
        open::size_of(self.header.payload_offset, self.medium.len())
    }

    /// Checks that guest `range` lies on the disk.
    fn check(&self, range: &Range<u64>) -> Result<()> {
        let size = self.size();
        if range.start > range.end || range.end > size {
            let what = format!("bytes {range:?} are meant, but the disk has {size}");
            return Err(Error::out_of_bounds(what).at(range.start));
        }
        Ok(())
    }

    /// Writes `bytes` from guest byte `offset` on, which lies on the disk with all of them.
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let into = (offset % SECTOR_LEN as u64) as usize;
        let head_len = if into == 0 { 0 } else { bytes.len().min(SECTOR_LEN - into) };
        let (head, rest) = bytes.split_at(head_len);
        let (whole, tail) = rest.split_at(rest.len() - rest.len() % SECTOR_LEN);
        self.write_part(head, offset)?;
        let mut next = offset + head_len as u64;
        for piece in whole.chunks(PIECE_LEN) {
            self.write_whole(&mut piece.to_vec(), next)?;
            next += piece.len() as u64;
        }
        self.write_part(tail, next)
    }

    /// Encrypts and writes whole sectors.
    fn write_whole(&self, sectors: &mut [u8], guest: u64) -> Result<()> {
        self.cipher.encrypt(sectors, guest / SECTOR_LEN as u64);
        self.medium.write_at(sectors, self.header.payload_offset + guest)
    }

    /// Changes a part of one sector.
    fn write_part(&self, part: &[u8], guest: u64) -> Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        let _held = self.partly.lock().unwrap_or_else(PoisonError::into_inner);
        let into = guest % SECTOR_LEN as u64;
        let start = guest - into;
        let mut sector = [0; SECTOR_LEN];
        self.medium.read_at(&mut sector, self.header.payload_offset + start)?;
        self.cipher.decrypt(&mut sector, start / SECTOR_LEN as u64);
        sector[into as usize..into as usize + part.len()].copy_from_slice(part);
        self.write_whole(&mut sector, start)
    }

    /// Writes zeros over guest `range`.
    fn write_zeros(&self, range: Range<u64>) -> Result<()> {
        let zeros = vec![0; PIECE_LEN];
        let mut next = range.start;
        while next < range.end {
            let len = usize::try_from(range.end - next).unwrap_or(PIECE_LEN).min(PIECE_LEN);
            self.write(&zeros[..len], next)?;
            next += len as u64;
        }
        Ok(())
    }

    /// Makes the disk longer, by zeros; a cut leaves it as long as it was, or noise behind its old end.
    fn grow(&self, old: u64, size: u64, preallocation: Preallocation) -> Result<()> {
        let start = self.header.payload_offset;
        if preallocation == Preallocation::Metadata {
            return Err(Error::invalid("a LUKS container has no metadata that could be preallocated"));
        }
        if preallocation == Preallocation::Falloc {
            let taken = self.medium.reserve(start + old..start + size);
            taken.or_else(|error| self.medium.set_len(start + old).and(Err(error)))?;
        }
        self.medium.set_len(start + size)?;
        self.medium.sync()?;
        self.write_zeros(old..size).or_else(|error| self.medium.set_len(start + old).and(Err(error)))?;
        self.medium.sync()
    }
}

impl ImageEditor for LuksEditor {
    fn image(&self) -> Result<Box<dyn Image>> {
        let storage = Arc::clone(&self.medium) as Arc<dyn Storage>;
        Ok(Box::new(LuksImage::new(storage, self.header.clone(), Some(Arc::clone(&self.cipher)))))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let range = offset..offset.saturating_add(bytes.len() as u64);
        self.check(&range).and_then(|()| self.write(bytes, offset)).map_err(|e| e.in_format(NAME))
    }

    fn erase(&self, range: Range<u64>, _how: Erase) -> Result<()> {
        self.check(&range).and_then(|()| self.write_zeros(range)).map_err(|e| e.in_format(NAME))
    }

    fn resize(&self, size: u64, preallocation: Preallocation) -> Result<()> {
        let (start, old) = (self.header.payload_offset, self.size());
        let in_format = |e: Error| e.in_format(NAME);
        if !size.is_multiple_of(SECTOR_LEN as u64) {
            let what = format!("a disk of {size} bytes is no whole number of sectors of {SECTOR_LEN}");
            return Err(in_format(Error::invalid(what)));
        }
        if start.checked_add(size).is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(in_format(Error::limit(format!("a disk of {size} bytes is longer than any file"))));
        }
        if size > old {
            return self.grow(old, size, preallocation).map_err(in_format);
        }
        if size < old && preallocation != Preallocation::Off {
            return Err(in_format(Error::invalid("preallocation is for disks that grow")));
        }
        self.medium.set_len(start + size)?;
        self.medium.sync()
    }

    fn flush(&self) -> Result<()> {
        self.medium.sync()
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.flush()
    }
}

/// Bytes that are encrypted and written at once: whole sectors.
const PIECE_LEN: usize = 1 << 20;
