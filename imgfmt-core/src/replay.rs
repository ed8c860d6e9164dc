//! Finishing what a file's log says was about to be written, in the file, and only when somebody asks for it.

use std::sync::Arc;

use crate::Result;
use crate::format::{Format, OpenContext};
use crate::storage::Storage;
use crate::target::Target;

/// A format whose files have a log that can be played back into its place.
///
/// Opening such a file replays the log in memory and leaves the file as it is; see [`Format::open`].
pub trait Replay: Format {
    /// Puts what the log holds into its place, and then says in the file that the log is empty. `storage` and `target`
    /// are the same file, which nobody else may write meanwhile. `None` where there is nothing to replay: then nothing is
    /// written.
    ///
    /// All of the log, and the image that the file is with it, is checked before the first byte is written. Whatever
    /// becomes of the writes after that, as long as those before a [`sync`](Target::sync) that succeeded are kept, the
    /// file has the same content, and can be replayed again.
    ///
    /// # Errors
    ///
    /// As [`Format::open`]: then nothing was written. [`Malformed`](crate::ErrorKind::Malformed) also for a log that would
    /// destroy what is needed to read it again. [`Io`](crate::ErrorKind::Io) where the target fails, and then the file may
    /// be replayed in part, as above.
    fn replay(
        &self,
        storage: Arc<dyn Storage>,
        target: &dyn Target,
        context: &OpenContext<'_>,
    ) -> Result<Option<Replayed>>;
}

/// What a replay has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Writes into the image, runs of zeros among them; each place counts once, however often the log names it.
    pub writes: u64,
    /// Bytes that they wrote, zeros among them.
    pub bytes: u64,
}
