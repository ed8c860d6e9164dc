//! The buffers of a job, and where in them the bytes of its pieces are.

use std::ops::Range;

use crate::aligned::AlignedBuf;
use crate::extent::SourceId;

/// Where the bytes of a piece are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// Nowhere: there are none to store.
    None,
    /// In the source, for the kernel to copy.
    Source {
        /// Where they are stored.
        source: SourceId,
        /// Their first host byte.
        host: u64,
    },
    /// In the plain buffer.
    Plain(Range<usize>),
    /// In the buffer of what was read, in the form in which it was read.
    Stored(Range<usize>),
    /// In the buffer of what was encoded.
    Encoded(Range<usize>),
}

/// The buffers of one job; they only grow, and are used again.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// Guest bytes of the job's range, padded to a whole unit where the writer asks for it.
    pub(super) plain: AlignedBuf,
    /// Compressed units as they were read.
    pub(super) stored: AlignedBuf,
    /// Compressed units as they will be stored.
    pub(super) encoded: AlignedBuf,
}

impl Buffers {
    /// The bytes that `bytes` means.
    pub(super) fn slice(&self, bytes: &Bytes) -> &[u8] {
        match bytes {
            Bytes::None | Bytes::Source { .. } => &[],
            Bytes::Plain(range) => &self.plain[range.clone()],
            Bytes::Stored(range) => &self.stored[range.clone()],
            Bytes::Encoded(range) => &self.encoded[range.clone()],
        }
    }

    /// Memory that the buffers hold, in bytes.
    pub(super) fn held(&self) -> u64 {
        self.plain.held() + self.stored.held() + self.encoded.held()
    }
}

/// Converts a length within one job.
#[expect(clippy::cast_possible_truncation, reason = "a job is bounded by what fits into memory many times")]
pub(super) fn in_memory(len: u64) -> usize {
    len as usize
}
