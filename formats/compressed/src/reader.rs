//! The decoded bytes of a whole file, front to back.

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{Error, ErrorKind, Result, Storage};

use crate::coder::{Coder, Framing, HEAD_LEN, Padding};

/// Compressed bytes, front to back.
pub(crate) trait Source: Send {
    /// Reads into `buf`; 0 at the end.
    ///
    /// # Errors
    ///
    /// Whatever the source says.
    fn next(&mut self, buf: &mut [u8]) -> Result<usize>;
}

impl Source for Box<dyn Read + Send> {
    fn next(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            match self.read(buf) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                other => return other.map_err(Error::from_read),
            }
        }
    }
}

/// A storage from its first byte to its last.
pub(crate) struct Whole {
    /// The storage.
    pub(crate) storage: Arc<dyn Storage>,
    /// The next byte to read.
    pub(crate) at: u64,
}

impl Source for Whole {
    fn next(&mut self, buf: &mut [u8]) -> Result<usize> {
        let rest = self.storage.len() - self.at;
        let len = usize::try_from(rest).map_or(buf.len(), |rest| rest.min(buf.len()));
        self.storage.read_at(&mut buf[..len], self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}

/// Decodes all members that a source has, and looks at what is between them.
pub(crate) struct Decoding<S> {
    /// Where the compressed bytes come from.
    source: S,
    /// Decodes a member.
    coder: Box<dyn Coder>,
    /// What may stand between members.
    framing: Framing,
    /// Compressed bytes that wait.
    input: Vec<u8>,
    /// Which of them are still to be decoded: from here,
    start: usize,
    /// to here.
    end: usize,
    /// Compressed bytes before `start`, from the start of the source.
    at: u64,
    /// Whether the source has ended.
    drained: bool,
    /// Where in the file it is.
    place: Place,
}

/// Where in a file the decoder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first member.
    Start,
    /// In a member.
    Member,
    /// Behind a member, with this many bytes of padding so far.
    Between(u64),
    /// At the end: all is decoded and verified.
    End,
}

impl<S: Source> Decoding<S> {
    /// A decoder that has not begun.
    pub(crate) fn new(source: S, coder: Box<dyn Coder>, framing: Framing) -> Self {
        let input = vec![0; INPUT_LEN];
        Self { source, coder, framing, input, start: 0, end: 0, at: 0, drained: false, place: Place::Start }
    }

    /// Decodes into `buf`, as much as one go gives; 0 only at the end, when everything has been verified.
    ///
    /// # Errors
    ///
    /// As [`Coder::step`], at the byte of the compressed file; [`OutOfBounds`](ErrorKind::OutOfBounds) where it ends early.
    pub(crate) fn next(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            match self.place {
                _ if buf.is_empty() => return Ok(0),
                Place::End => return Ok(0),
                Place::Start | Place::Between(_) => self.between()?,
                Place::Member => {
                    let produced = self.member(buf)?;
                    if produced > 0 {
                        return Ok(produced);
                    }
                }
            }
        }
    }

    /// One step within a member.
    fn member(&mut self, buf: &mut [u8]) -> Result<usize> {
        let step = self.coder.step(&self.input[self.start..self.end], buf).map_err(|e| e.at(self.at))?;
        self.use_up(step.consumed);
        if step.ended {
            self.place = Place::Between(0);
        } else if step.consumed == 0 && step.produced == 0 && !self.refill()? {
            let what = if self.drained { "the compressed data ends early" } else { "the decoder stands still" };
            let kind = if self.drained { ErrorKind::OutOfBounds } else { ErrorKind::Malformed };
            return Err(Error::new(kind, what).at(self.at));
        }
        Ok(step.produced)
    }

    /// Finds out what follows a member: padding, another one, or the end.
    fn between(&mut self) -> Result<()> {
        while self.end - self.start < HEAD_LEN && self.refill()? {}
        let head = &self.input[self.start..self.end];
        let padded = match self.place {
            Place::Between(padded) => Some(padded),
            _ => None,
        };
        let words = self.framing.padding == Padding::Words;
        match (head.first(), padded) {
            (None, None) => return Err(Error::out_of_bounds("the file is empty").at(self.at)),
            (None, Some(padded)) if words && padded % 4 != 0 => {
                return Err(Error::malformed(format!("{padded} bytes of padding are no multiple of 4")).at(self.at));
            }
            (None, Some(_)) => self.place = Place::End,
            (Some(0), Some(padded)) if self.framing.padding != Padding::None => {
                let zeros = head.iter().take_while(|&&byte| byte == 0).count();
                self.place = Place::Between(padded + zeros as u64);
                self.use_up(zeros);
            }
            (Some(_), padded) if self.may_begin(padded) && (self.framing.begins)(head) => {
                if padded.is_some() {
                    self.coder.restart()?;
                }
                self.place = Place::Member;
            }
            (Some(_), None) => return Err(Error::malformed("no compressed data starts here").at(self.at)),
            (Some(_), Some(_)) => {
                return Err(Error::malformed("something else follows the compressed data").at(self.at));
            }
        }
        Ok(())
    }

    /// Whether a member may start behind `padded` bytes of padding.
    fn may_begin(&self, padded: Option<u64>) -> bool {
        match (self.framing.padding, padded) {
            (_, None | Some(0)) => true,
            (Padding::Words, Some(padded)) => padded.is_multiple_of(4),
            (Padding::None | Padding::Tail, Some(_)) => false,
        }
    }

    /// Notes that `len` bytes of the input are done with.
    fn use_up(&mut self, len: usize) {
        self.start += len;
        self.at += len as u64;
    }

    /// Reads more compressed bytes behind those that wait. Whether there were any, and room for them.
    fn refill(&mut self) -> Result<bool> {
        if self.drained {
            return Ok(false);
        }
        self.input.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let room = &mut self.input[self.end..];
        if room.is_empty() {
            return Ok(false);
        }
        let len = self.source.next(room)?;
        self.drained = len == 0;
        self.end += len;
        Ok(len > 0)
    }
}

impl<S: Source> Read for Decoding<S> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        // Whoever reads takes ours out again: `Error::from_read`.
        self.next(buf).map_err(std::io::Error::other)
    }
}

/// Bytes of the input buffer.
const INPUT_LEN: usize = 128 << 10;
