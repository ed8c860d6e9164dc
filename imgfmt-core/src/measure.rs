//! Knowing how large an image will be without writing it.

use crate::Result;
use crate::bitmap::BitmapInfo;
use crate::options::Options;

/// A format that knows by its layout how much an image takes; of all others, the writer is asked.
pub trait Measure: Send + Sync {
    /// Guest bytes that such an image places as one; `None` where its writer is to be asked, which needs what a new image
    /// needs.
    ///
    /// # Errors
    ///
    /// As [`fully_allocated`](Self::fully_allocated).
    fn unit(&self, options: &Options) -> Result<Option<u64>>;

    /// Bytes of an image of a disk of `size` bytes, all of it stored, with these options.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for options and sizes that the format does not have.
    fn fully_allocated(&self, size: u64, options: &Options) -> Result<u64>;

    /// Bytes that `bitmaps` take in such an image, all of their bits stored.
    ///
    /// # Errors
    ///
    /// As [`fully_allocated`](Self::fully_allocated).
    fn bitmaps(&self, size: u64, options: &Options, bitmaps: &[BitmapInfo]) -> Result<u64>;
}
