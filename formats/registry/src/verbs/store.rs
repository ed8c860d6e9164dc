//! Bytes on their way into an image that is changed where it is.

use std::ops::Range;

use imgfmt_core::codec::{Compression, Encoder};
use imgfmt_core::convert::is_zero;
use imgfmt_core::{AlignedBuf, Erase, Error, ImageEditor, Result};

/// What becomes of a run of guest bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It stays as it is.
    Keep,
    /// It reads as zeros, and takes no space.
    Zero,
    /// It is written.
    Write,
}

/// What becomes of a unit of zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zeros {
    /// It is erased.
    Erased,
    /// It is written, as any bytes are: an image that builds on nothing may store nothing in its place, and is to build on
    /// something.
    Written,
}

/// How bytes get into an image.
#[derive(Clone, Copy)]
pub(crate) struct Storing<'a> {
    /// Its editor.
    pub(crate) editor: &'a dyn ImageEditor,
    /// Guest bytes that are stored as one.
    pub(crate) unit: u64,
    /// What becomes of zeros.
    pub(crate) zeros: Zeros,
    /// How units are compressed, where they are.
    pub(crate) compression: Option<Compression>,
}

impl Storing<'_> {
    /// Writes `bytes` from guest byte `offset` on, in whole units but for the end. Units for which `keep` says so stay as they are.
    /// Returns how many bytes were changed.
    ///
    /// # Errors
    ///
    /// As [`ImageEditor::write_at`].
    pub(crate) fn store(&self, offset: u64, bytes: &[u8], keep: &dyn Fn(Range<usize>) -> bool) -> Result<u64> {
        let unit = usize::try_from(self.unit).unwrap_or(usize::MAX).max(1);
        let fate_of = |range: Range<usize>| match () {
            () if keep(range.clone()) => Fate::Keep,
            () if self.zeros == Zeros::Erased && is_zero(&bytes[range]) => Fate::Zero,
            () => Fate::Write,
        };
        let unit_at = |start: usize| start..start.saturating_add(unit).min(bytes.len());
        let (mut start, mut changed) = (0, 0);
        while start < bytes.len() {
            let mut run = unit_at(start);
            let fate = fate_of(run.clone());
            while run.end < bytes.len() && fate_of(unit_at(run.end)) == fate {
                run.end = unit_at(run.end).end;
            }
            let (guest, len) = (offset + run.start as u64, run.len() as u64);
            match fate {
                Fate::Keep => {}
                Fate::Zero => self.editor.erase(guest..guest + len, Erase::Zero)?,
                Fate::Write => self.write(&bytes[run.clone()], guest)?,
            }
            changed += if fate == Fate::Keep { 0 } else { len };
            start = run.end;
        }
        Ok(changed)
    }

    /// Writes whole units, compressed where they shall be and become smaller by that. The end of the disk may cut the last one.
    fn write(&self, bytes: &[u8], guest: u64) -> Result<()> {
        let Some(compression) = self.compression else { return self.editor.write_at(bytes, guest) };
        let len = usize::try_from(self.unit).map_err(|_| Error::limit("a unit does not fit into memory"))?;
        let (mut encoder, mut stored) = (Encoder::new(&compression)?, vec![0; compression.max_len]);
        let mut whole = Vec::new();
        for (unit, at) in bytes.chunks(len).zip((guest..).step_by(len)) {
            whole.clear();
            whole.extend_from_slice(unit);
            whole.resize(len, 0);
            match encoder.encode(&whole, &mut stored)? {
                Some(encoded) => self.editor.write_encoded(&stored[..encoded], at)?,
                None => self.editor.write_at(unit, at)?,
            }
        }
        Ok(())
    }
}

/// A buffer for the guest bytes of `range`.
///
/// # Errors
///
/// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where it does not fit into memory.
pub(crate) fn buffer(range: &Range<u64>) -> Result<AlignedBuf> {
    let len = usize::try_from(range.end - range.start);
    len.map(AlignedBuf::zeroed).map_err(|_| Error::limit("a unit of the image does not fit into memory"))
}
