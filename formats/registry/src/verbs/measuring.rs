//! A target that keeps nothing but the lengths of files.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::{Error, Form, ImageWriter, Piece, Placed, Result, Siblings, Target};

/// The files of an image that is only measured.
#[derive(Debug, Default)]
pub(super) struct Counting {
    /// The image's own file.
    main: Arc<Length>,
    /// The others.
    siblings: Mutex<Vec<Arc<Length>>>,
}

/// The length of a file.
#[derive(Debug, Default)]
struct Length(AtomicU64);

/// What was counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// Bytes of all files.
    pub(super) len: u64,
    /// Guest bytes that are placed as one.
    pub(super) unit: u64,
}

impl Counting {
    /// Files that are empty.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The image's own file.
    pub(super) fn target(&self) -> Arc<dyn Target> {
        Arc::clone(&self.main) as Arc<dyn Target>
    }

    /// Places a disk of `size` bytes with `writer`: nothing of it, or all.
    pub(super) fn count(&self, writer: Box<dyn ImageWriter>, size: u64, full: bool) -> Result<Counted> {
        let unit = writer.shape().unit;
        let form = if full { Form::Plain } else { Form::Zero };
        let mut next = 0;
        while next < size {
            let placed = writer.place(&Piece { guest: next, len: size - next, form })?;
            if placed.len == 0 {
                return Err(Error::malformed("a writer placed nothing"));
            }
            if full {
                store_last_unit(writer.as_ref(), next, &placed)?;
            }
            next += placed.len;
        }
        writer.finish()?;
        let siblings = self.siblings.lock().unwrap_or_else(PoisonError::into_inner);
        let others: u64 = siblings.iter().map(|file| file.0.load(Ordering::Relaxed)).sum();
        Ok(Counted { len: others + self.main.0.load(Ordering::Relaxed), unit })
    }
}

/// Stores the last unit of what has been placed from guest byte `guest` on: whichever file it is in is then as long as
/// if all of it were stored.
fn store_last_unit(writer: &dyn ImageWriter, guest: u64, placed: &Placed) -> Result<()> {
    let shape = writer.shape();
    let skipped = (placed.len - 1) / shape.unit * shape.unit;
    let len = placed.len - skipped;
    let padded = if shape.pads_last { shape.unit } else { len };
    let bytes = vec![0; usize::try_from(padded).unwrap_or(0)];
    writer.store(&Piece { guest: guest + skipped, len, form: Form::Plain }, placed.host + skipped, &bytes)
}

impl Siblings for Counting {
    fn create(&self, _name: &Path) -> Result<Arc<dyn Target>> {
        let file = Arc::new(Length::default());
        self.siblings.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&file));
        Ok(file)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Target for Length {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.0.fetch_max(offset.saturating_add(bytes.len() as u64), Ordering::Relaxed);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.0.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }

    fn clear(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }

    fn kept_len(&self) -> Option<u64> {
        None
    }
}
