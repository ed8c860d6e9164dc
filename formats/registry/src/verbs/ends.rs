//! What the end of a pipe tells: some formats are known by their last bytes alone.

use std::io::{self, Read};
use std::num::NonZeroU64;

use imgfmt_core::{Error, ErrorKind, FileSlice, Format, Result, Segment, Storage, probe};

/// Reads an input that nothing has claimed by its first bytes, and looks again when its end has come.
pub(crate) struct Watched<R> {
    /// The input.
    inner: R,
    /// Who may claim it.
    formats: &'static [&'static dyn Format],
    /// What has been read of it.
    ends: Ends,
}

/// The first and the last bytes of an input; what lies between counts as zeros.
#[derive(Clone, Debug, Default)]
struct Ends {
    /// The first bytes.
    first: Vec<u8>,
    /// The last bytes, of all that has been read.
    last: Vec<u8>,
    /// Bytes in all.
    len: u64,
}

impl<R: Read> Watched<R> {
    /// Watches `inner` for `formats`.
    pub(crate) fn new(inner: R, formats: &'static [&'static dyn Format]) -> Self {
        Self { inner, formats, ends: Ends::default() }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buf)?;
        self.ends.take(&buf[..len]);
        if len == 0 && !buf.is_empty() {
            self.ends.check(self.formats).map_err(io::Error::other)?;
        }
        Ok(len)
    }
}

impl Ends {
    /// Takes note of the next bytes.
    fn take(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        let wanted = END_LEN.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(&bytes[..wanted]);
        let tail = &bytes[bytes.len().saturating_sub(END_LEN)..];
        self.last.extend_from_slice(tail);
        if self.last.len() > 2 * END_LEN || tail.len() == END_LEN {
            self.last.drain(..self.last.len().saturating_sub(END_LEN));
        }
    }

    /// Refuses an input that a format claims after all.
    fn check(&self, formats: &[&dyn Format]) -> Result<()> {
        match probe::probe(formats, self)?.first() {
            None => Ok(()),
            Some(claim) => {
                let name = claim.format.name();
                let what = format!("the input turns out to be {name} ({}), and has been read as raw", claim.reason);
                Err(Error::new(ErrorKind::Ambiguous, format!("{what}; its format has to be named")))
            }
        }
    }
}

impl Storage for Ends {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(Error::out_of_bounds(format!("the input ends at byte {}", self.len)).at(offset));
        }
        let last_at = self.len - self.last.len() as u64;
        for (byte, at) in buf.iter_mut().zip(offset..) {
            let first = usize::try_from(at).ok().and_then(|at| self.first.get(at));
            let last = || self.last.get(usize::try_from(at.checked_sub(last_at)?).ok()?);
            *byte = first.or_else(last).copied().unwrap_or(0);
        }
        Ok(())
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        let len = NonZeroU64::new(self.len.saturating_sub(offset));
        len.map(|len| Segment { hole: false, len })
            .ok_or_else(|| Error::out_of_bounds("the input ends here").at(offset))
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

/// Bytes of either end that are kept.
const END_LEN: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_kept_whatever_the_portions() {
        let bytes: Vec<u8> = (0..300_000u32).map(|i| (i * 7 % 251) as u8).collect();
        for portion in [1000, 65_536, 65_537, 300_000] {
            let mut ends = Ends::default();
            bytes.chunks(portion).for_each(|part| ends.take(part));
            let mut read = vec![0; 512];
            for at in [0, 65_000, 300_000 - 512, 300_000 - 65_536] {
                ends.read_at(&mut read[..500], at as u64).unwrap();
                assert_eq!(read[..500], bytes[at..at + 500], "{portion} {at}");
            }
            assert!(ends.read_at(&mut read, 299_900).is_err());
        }
    }
}
