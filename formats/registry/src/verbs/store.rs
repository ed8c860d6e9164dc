//! Bytes on their way into an image that is changed where it is.

use std::ops::Range;

use imgfmt_core::convert::is_zero;
use imgfmt_core::{Erase, ImageEditor, Result};

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

/// Writes `bytes` from guest byte `offset` on with `editor`, in whole units of `unit` bytes but for the end. Units for which
/// `keep` says so stay as they are. Returns how many bytes were changed.
///
/// # Errors
///
/// As [`ImageEditor::write_at`].
pub(crate) fn store(
    editor: &dyn ImageEditor,
    offset: u64,
    bytes: &[u8],
    unit: u64,
    zeros: Zeros,
    keep: &dyn Fn(Range<usize>) -> bool,
) -> Result<u64> {
    let unit = usize::try_from(unit).unwrap_or(usize::MAX).max(1);
    let fate_of = |range: Range<usize>| match () {
        () if keep(range.clone()) => Fate::Keep,
        () if zeros == Zeros::Erased && is_zero(&bytes[range]) => Fate::Zero,
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
            Fate::Zero => editor.erase(guest..guest + len, Erase::Zero)?,
            Fate::Write => editor.write_at(&bytes[run.clone()], guest)?,
        }
        changed += if fate == Fate::Keep { 0 } else { len };
        start = run.end;
    }
    Ok(changed)
}

/// A buffer for the guest bytes of `range`.
///
/// # Errors
///
/// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where it does not fit into memory.
pub(crate) fn buffer(range: &Range<u64>) -> Result<Vec<u8>> {
    let len = usize::try_from(range.end - range.start);
    len.map(|len| vec![0; len]).map_err(|_| imgfmt_core::Error::limit("a unit of the image does not fit into memory"))
}
