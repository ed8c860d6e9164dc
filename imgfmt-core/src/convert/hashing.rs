//! What is converted is hashed on the way: job after job in guest order, by whichever worker is free.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::buffers::{Buffers, Bytes, in_memory};
use super::plan::Job;
use crate::Result;
use crate::aligned::AlignedBuf;
use crate::hash::Hasher;
use crate::image::Image;
use crate::writer::{Form, Piece};

/// A part of a job, in guest order, as a hash sees it.
#[derive(Debug)]
pub(super) enum Part {
    /// So many zeros.
    Zeros(u64),
    /// Guest bytes that the new image leaves to its backing file.
    Absent(Range<u64>),
    /// These bytes of the plain buffer.
    Plain(Range<usize>),
}

/// The parts of a job whose range became `pieces`.
pub(super) fn parts(job: &Job, pieces: &[(Piece, Bytes)]) -> Vec<Part> {
    let all = job.before.iter().chain(pieces.iter().map(|(piece, _)| piece));
    all.map(|piece| match piece.form {
        Form::Zero => Part::Zeros(piece.len),
        Form::Absent => Part::Absent(piece.guest..piece.guest + piece.len),
        Form::Plain | Form::Encoded(_) => {
            let start = in_memory(piece.guest - job.range.start);
            Part::Plain(start..start + in_memory(piece.len))
        }
    })
    .collect()
}

/// Feeds `hasher` with `parts`, whose plain bytes are in `buffers` and whose other bytes are those of `source`.
pub(super) fn feed(hasher: &Mutex<Hasher>, parts: &[Part], buffers: &Buffers, source: &dyn Image) -> Result<()> {
    let mut hasher = hasher.lock().unwrap_or_else(PoisonError::into_inner);
    for part in parts {
        match part {
            Part::Zeros(len) => hasher.zeros(*len),
            Part::Plain(range) => hasher.update(&buffers.plain[range.clone()]),
            Part::Absent(range) => feed_absent(&mut hasher, range.clone(), source)?,
        }
    }
    Ok(())
}

/// Feeds what is not converted, but read all the same.
fn feed_absent(hasher: &mut Hasher, mut range: Range<u64>, source: &dyn Image) -> Result<()> {
    let mut buffer = AlignedBuf::zeroed(in_memory(range.end - range.start).min(READ_LEN));
    while !range.is_empty() {
        let len = in_memory(range.end - range.start).min(buffer.len());
        source.read_at(&mut buffer[..len], range.start)?;
        hasher.update(&buffer[..len]);
        range.start += len as u64;
    }
    Ok(())
}

/// Bytes that are read at once.
const READ_LEN: usize = 1 << 20;
