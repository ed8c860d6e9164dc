//! Media that nothing more is written to once it is not known what they hold.
//!
//! What was written before a flush that failed may be there or not, and the next flush would not tell. What a write that failed
//! has done is not known, either. So nothing that builds on it may follow: what is there is then what a cut leaves, which
//! editors are made for.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::medium::Medium;
use crate::storage::{FileSlice, Segment, Storage};
use crate::target::Target;
use crate::{Error, ErrorKind, Result};

/// Whether it is not known any more what the files of an image hold.
#[derive(Clone, Debug, Default)]
pub struct Halt(Arc<AtomicBool>);

/// One of the files.
#[derive(Debug)]
struct Halting {
    /// The file.
    medium: Arc<dyn Medium>,
    /// Whether nothing more is written.
    halt: Halt,
}

impl Halt {
    /// `medium`, which refuses changes once a flush of it has failed, or of another file that was given to this.
    #[must_use]
    pub fn guard(&self, medium: Arc<dyn Medium>) -> Arc<dyn Medium> {
        Arc::new(Halting { medium, halt: self.clone() })
    }

    /// Passes on the outcome of a change of what leads to something else; where it failed, nothing more is written.
    ///
    /// # Errors
    ///
    /// That of `outcome`.
    pub fn on_error<T>(&self, outcome: Result<T>) -> Result<T> {
        self.0.fetch_or(outcome.is_err(), Ordering::AcqRel);
        outcome
    }

    /// Refuses, once that is so: also what would change nothing, as far as an editor knows.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io).
    pub fn check(&self) -> Result<()> {
        if !self.0.load(Ordering::Acquire) {
            return Ok(());
        }
        let what = "an earlier change failed, and it cannot be known what is there now: nothing more is written";
        Err(Error::new(ErrorKind::Io, what))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Storage for Halting {
    fn len(&self) -> u64 {
        self.medium.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.medium.read_at(buf, offset)
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        self.medium.segment(offset)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        Storage::as_file(self.medium.as_ref())
    }

    fn as_slice(&self) -> Option<&[u8]> {
        self.medium.as_slice()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Target for Halting {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.halt.check()?;
        self.medium.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.halt.check()?;
        self.medium.set_len(len)
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.halt.check()?;
        self.medium.reserve(range)
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.halt.check()?;
        self.medium.clear(range)
    }

    fn sync(&self) -> Result<()> {
        self.halt.check()?;
        self.halt.on_error(self.medium.sync())
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        Target::as_file(self.medium.as_ref())
    }

    fn in_order(&self) -> bool {
        self.medium.in_order()
    }

    fn kept_len(&self) -> Option<u64> {
        self.medium.kept_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::medium::MemoryMedium;

    /// A medium whose flush fails at once.
    #[derive(Debug)]
    struct Broken;

    #[deny(clippy::missing_trait_methods)]
    impl Storage for Broken {
        fn len(&self) -> u64 {
            0
        }

        fn read_at(&self, _buf: &mut [u8], _offset: u64) -> Result<()> {
            Ok(())
        }

        fn segment(&self, offset: u64) -> Result<Segment> {
            crate::storage::segment_to(0, offset, false)
        }

        fn as_file(&self) -> Option<FileSlice<'_>> {
            None
        }

        fn as_slice(&self) -> Option<&[u8]> {
            None
        }
    }

    #[deny(clippy::missing_trait_methods)]
    impl Target for Broken {
        fn write_at(&self, _bytes: &[u8], _offset: u64) -> Result<()> {
            Ok(())
        }

        fn set_len(&self, _len: u64) -> Result<()> {
            Ok(())
        }

        fn reserve(&self, _range: Range<u64>) -> Result<()> {
            Ok(())
        }

        fn clear(&self, _range: Range<u64>) -> Result<()> {
            Ok(())
        }

        fn sync(&self) -> Result<()> {
            Err(Error::new(ErrorKind::Io, "it is broken"))
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

    #[test]
    fn after_a_flush_that_failed_no_file_of_the_image_is_changed() {
        let halt = Halt::default();
        let (whole, broken) = (halt.guard(Arc::new(MemoryMedium::new(b"abc"))), halt.guard(Arc::new(Broken)));
        broken.write_at(b"x", 0).unwrap();
        whole.write_at(b"x", 0).unwrap();
        whole.sync().unwrap();
        assert!(broken.sync().is_err());
        for medium in [&whole, &broken] {
            let refused =
                [medium.write_at(b"y", 1), medium.set_len(1), medium.reserve(0..1), medium.clear(0..1), medium.sync()];
            assert!(refused.iter().all(|outcome| outcome.as_ref().is_err_and(|e| e.kind() == ErrorKind::Io)));
        }
        let mut read = [0; 3];
        whole.read_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"xbc");
        Halt::default().guard(whole).set_len(1).unwrap_err();
    }
}
