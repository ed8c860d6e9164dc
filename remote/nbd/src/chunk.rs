//! One part of a reply: "Structured reply chunk message"; a simple reply is one chunk.

use std::io::{self, Read};

use byteorder::{BigEndian, ReadBytesExt};

use crate::handshake::printable;
use crate::wire::{
    self, CHUNK_BLOCK_STATUS, CHUNK_ERROR_OFFSET, CHUNK_FLAG_ERROR, CHUNK_NONE, CHUNK_OFFSET_DATA, CHUNK_OFFSET_HOLE,
    ReplyHead,
};

/// What the reply to a request may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing but whether it was done.
    Done,
    /// Bytes.
    Data {
        /// The first one.
        offset: u64,
        /// How many.
        len: u32,
        /// Whether they come in chunks.
        structured: bool,
    },
    /// What is allocated.
    Status,
}

/// One part of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Whether it is the last one.
    pub(crate) done: bool,
    /// What it says.
    pub(crate) part: Part,
}

/// What one part of a reply says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Nothing more.
    Nothing,
    /// Bytes that were asked for: the first one's place among them, and they themselves.
    Data(usize, Vec<u8>),
    /// Bytes that were asked for and are where they belong: the first one's place among them, and how many.
    InPlace(usize, usize),
    /// Bytes that were asked for and are zero: the first one's place among them, and how many.
    Hole(usize, usize),
    /// What is allocated, from the asked offset on: lengths and `STATE_…`.
    Status(Vec<(u32, u32)>),
    /// It was not done: an error number, and what the server says to it.
    Failed(u32, String),
}

impl Chunk {
    /// Reads what follows `head`, of a reply to somebody who wants `wanted`. Bytes that were asked for go to `place`, where there is
    /// one for all of them.
    pub(crate) fn read(
        input: &mut impl Read,
        head: ReplyHead,
        wanted: Wanted,
        place: Option<&mut [u8]>,
        allocation: Option<u32>,
    ) -> io::Result<Self> {
        match head {
            ReplyHead::Simple { error: 0, .. } => Ok(Self { done: true, part: simple(input, wanted, place)? }),
            ReplyHead::Simple { error, .. } => Ok(Self { done: true, part: Part::Failed(error, String::new()) }),
            ReplyHead::Chunk { done, kind, len, .. } => {
                let part = match kind {
                    CHUNK_NONE if len == 0 => Part::Nothing,
                    CHUNK_OFFSET_DATA => data(input, len, wanted, place)?,
                    CHUNK_OFFSET_HOLE => hole(input, len, wanted)?,
                    CHUNK_BLOCK_STATUS => status(input, len, wanted, allocation)?,
                    _ if kind & CHUNK_FLAG_ERROR != 0 => failed(input, kind, len)?,
                    _ => return Err(wire::wrong(format!("a chunk of kind {kind} with {len} bytes"))),
                };
                Ok(Self { done, part })
            }
        }
    }
}

/// What follows a simple reply.
fn simple(input: &mut impl Read, wanted: Wanted, place: Option<&mut [u8]>) -> io::Result<Part> {
    match wanted {
        Wanted::Done => Ok(Part::Nothing),
        Wanted::Data { len, structured: false, .. } => bytes_at(input, 0, len, place),
        Wanted::Data { .. } | Wanted::Status => Err(wire::wrong("a simple reply where none can be".to_owned())),
    }
}

/// The bytes of a part of what was asked for.
fn data(input: &mut impl Read, chunk: u32, wanted: Wanted, place: Option<&mut [u8]>) -> io::Result<Part> {
    let len = chunk.checked_sub(8).filter(|len| *len > 0);
    let len = len.ok_or_else(|| wire::wrong(format!("a chunk of data of {chunk} bytes")))?;
    let at = within(input.read_u64::<BigEndian>()?, len, wanted)?;
    bytes_at(input, at, len, place)
}

/// The next `len` bytes, which belong to the byte `at` of what was asked for.
fn bytes_at(input: &mut impl Read, at: usize, len: u32, place: Option<&mut [u8]>) -> io::Result<Part> {
    let end = at.saturating_add(len as usize);
    match place.and_then(|place| place.get_mut(at..end)) {
        Some(place) => input.read_exact(place).map(|()| Part::InPlace(at, len as usize)),
        None => Ok(Part::Data(at, bytes(input, len)?)),
    }
}

/// A part of what was asked for that is zero.
fn hole(input: &mut impl Read, chunk: u32, wanted: Wanted) -> io::Result<Part> {
    if chunk != 12 {
        return Err(wire::wrong(format!("a hole in {chunk} bytes")));
    }
    let offset = input.read_u64::<BigEndian>()?;
    let len = input.read_u32::<BigEndian>()?;
    Ok(Part::Hole(within(offset, len, wanted)?, len as usize))
}

/// Where `len` bytes from `start` on lie in what was asked for.
fn within(start: u64, len: u32, wanted: Wanted) -> io::Result<usize> {
    let at = match wanted {
        Wanted::Data { offset, len: asked, structured: true } => start
            .checked_sub(offset)
            .filter(|at| at.checked_add(len.into()).is_some_and(|end| end <= asked.into()))
            .and_then(|at| usize::try_from(at).ok()),
        _ => None,
    };
    at.ok_or_else(|| wire::wrong(format!("{len} bytes from {start} on, which nobody asked for")))
}

/// What is allocated.
fn status(input: &mut impl Read, chunk: u32, wanted: Wanted, allocation: Option<u32>) -> io::Result<Part> {
    let runs = (chunk / 8) as usize;
    if !matches!(wanted, Wanted::Status) || chunk % 8 != 4 || runs == 0 || runs > MAX_RUNS {
        return Err(wire::wrong(format!("what is allocated in {chunk} bytes")));
    }
    if Some(input.read_u32::<BigEndian>()?) != allocation {
        return Err(wire::wrong("it tells of a metadata context that nobody asked for".to_owned()));
    }
    let mut list = Vec::with_capacity(runs);
    for _ in 0..runs {
        let len = input.read_u32::<BigEndian>()?;
        let state = input.read_u32::<BigEndian>()?;
        if len == 0 {
            return Err(wire::wrong("a run of no bytes".to_owned()));
        }
        list.push((len, state));
    }
    Ok(Part::Status(list))
}

/// An error, with what the server says to it.
fn failed(input: &mut impl Read, kind: u16, chunk: u32) -> io::Result<Part> {
    if !(6..=MAX_ERROR_LEN).contains(&chunk) {
        return Err(wire::wrong(format!("an error in {chunk} bytes")));
    }
    let error = input.read_u32::<BigEndian>()?;
    let text = input.read_u16::<BigEndian>()?;
    let rest = bytes(input, chunk - 6)?;
    let expected = rest.len() - usize::from(kind == CHUNK_ERROR_OFFSET) * 8.min(rest.len());
    match rest.get(..usize::from(text)) {
        Some(said) if error != 0 && said.len() <= expected => {
            Ok(Part::Failed(error, printable(&String::from_utf8_lossy(said))))
        }
        _ => Err(wire::wrong("an error that says less than it says".to_owned())),
    }
}

/// The next `len` bytes, which the caller knows to be few, or asked for.
fn bytes(input: &mut impl Read, len: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len as usize];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Runs in one answer at most: 8 MiB of them, which is as many as servers send.
const MAX_RUNS: usize = 1 << 20;
/// The longest chunk that tells of an error, in bytes: with a string of 4096.
const MAX_ERROR_LEN: u32 = 6 + 4096 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a chunk of `kind` with `payload` is, in a reply to a read of 16 bytes from 100 on.
    fn read(kind: u16, payload: &[u8]) -> io::Result<Part> {
        let head = ReplyHead::Chunk { done: true, kind, cookie: 1, len: payload.len() as u32 };
        let wanted = Wanted::Data { offset: 100, len: 16, structured: true };
        let part = Chunk::read(&mut &payload[..], head, wanted, None, None).map(|chunk| chunk.part);
        let mut place = [0; 16];
        let in_place = Chunk::read(&mut &payload[..], head, wanted, Some(&mut place), None).map(|chunk| chunk.part);
        match (&part, in_place) {
            (Ok(Part::Data(at, bytes)), Ok(Part::InPlace(there, len))) => {
                assert_eq!((there, &place[*at..*at + len], len), (*at, &bytes[..], bytes.len()));
            }
            (Ok(part), Ok(in_place)) => assert_eq!(*part, in_place),
            (part, in_place) => assert!(part.is_err() && in_place.is_err()),
        }
        part
    }

    fn at(offset: u64, rest: &[u8]) -> Vec<u8> {
        [&offset.to_be_bytes(), rest].concat()
    }

    #[test]
    fn what_was_asked_for_is_taken() {
        assert_eq!(read(CHUNK_OFFSET_DATA, &at(110, b"abcdef")).unwrap(), Part::Data(10, b"abcdef".to_vec()));
        assert_eq!(read(CHUNK_OFFSET_HOLE, &at(100, &16u32.to_be_bytes())).unwrap(), Part::Hole(0, 16));
        let said = [&5u32.to_be_bytes()[..], &3u16.to_be_bytes(), b"a\nb", &[0; 8]].concat();
        assert_eq!(read(CHUNK_ERROR_OFFSET, &said).unwrap(), Part::Failed(5, "a\u{fffd}b".to_owned()));
    }

    #[test]
    fn what_nobody_asked_for_is_refused() {
        for (kind, payload) in [
            (CHUNK_OFFSET_DATA, at(111, b"abcdef")),
            (CHUNK_OFFSET_DATA, at(99, b"a")),
            (CHUNK_OFFSET_DATA, at(u64::MAX, b"ab")),
            (CHUNK_OFFSET_DATA, at(100, b"")),
            (CHUNK_OFFSET_HOLE, at(101, &16u32.to_be_bytes())),
            (CHUNK_OFFSET_HOLE, at(101, &[0])),
            (CHUNK_BLOCK_STATUS, vec![0; 12]),
            (CHUNK_NONE, vec![0]),
            (7, vec![]),
            (wire::CHUNK_ERROR, vec![0; 5]),
            (wire::CHUNK_ERROR, [&5u32.to_be_bytes()[..], &3u16.to_be_bytes(), b"ab"].concat()),
        ] {
            assert!(read(kind, &payload).is_err(), "{kind} {payload:?}");
        }
    }
}
