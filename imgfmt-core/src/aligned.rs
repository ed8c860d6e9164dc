//! Buffers that start where memory pages do.
//!
//! The kernel copies whole pages between a file and memory. Into a buffer that starts within a cache line, as one of the
//! general allocator does, it copies at half the speed on some processors.

use std::ops::{Deref, DerefMut};

/// Bytes that start at a multiple of 4096 in memory. They only grow, and are used again.
#[derive(Debug, Default)]
pub struct AlignedBuf {
    /// The bytes, and up to a page before and after them.
    bytes: Vec<u8>,
    /// Where in `bytes` they start.
    start: usize,
    /// How many there are.
    len: usize,
}

impl AlignedBuf {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::default();
        buffer.grow(len);
        buffer
    }

    /// Makes it at least `len` bytes long. What is there stays there, whatever it is.
    pub fn grow(&mut self, len: usize) {
        if self.len >= len {
            return;
        }
        if self.bytes.len() - self.start < len {
            let mut bytes = vec![0; len.saturating_add(ALIGN - 1)];
            let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN - 1);
            bytes[start..start + self.len].copy_from_slice(self);
            (self.bytes, self.start) = (bytes, start);
        }
        self.len = len;
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.bytes.capacity() as u64
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

/// What the address of the first byte is a multiple of.
const ALIGN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_at_a_page_and_keeps_its_bytes_when_it_grows() {
        let mut buffer = AlignedBuf::default();
        assert!(buffer.is_empty());
        for len in [1, 4095, 4096, 4097, 5000, 1 << 20, (1 << 20) + 3, 10] {
            let before = buffer.to_vec();
            buffer.grow(len);
            assert_eq!(buffer.len(), len.max(before.len()));
            assert_eq!(buffer.as_ptr().align_offset(ALIGN), 0, "{len}");
            assert_eq!(buffer[..before.len()], before);
            buffer.fill(u8::try_from(len % 251).unwrap());
        }
        assert!(buffer.held() >= 1 << 20);
    }
}
