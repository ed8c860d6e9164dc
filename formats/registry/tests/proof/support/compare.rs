//! Comparing and hashing guest bytes.

use std::fmt::Write as _;
use std::path::Path;

use imgfmt::{Access, Beneath, Chain, Extent, Image, ImageExt};
use sha2::{Digest, Sha256};

use super::Outcome;

/// Opens the image at `path`, which may use what lies beside it. Without a format, it is probed, and what
/// nothing claims is refused.
pub(crate) fn open(path: &Path, format: Option<&str>) -> imgfmt::Result<Chain> {
    let mut gate = Beneath::new();
    gate.allow_beside(path)?;
    imgfmt::open(path, format, &Access { gate: &gate, fallback: None, ..Access::default() })
}

/// Size and SHA-256 of all guest bytes.
pub(crate) fn hash(image: &dyn Image) -> imgfmt::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut bytes = vec![0; CHUNK_LEN];
    let mut next = 0;
    while next < image.size() {
        let part = &mut bytes[..part_len(image.size() - next)];
        image.read_at(part, next)?;
        hasher.update(&*part);
        next += part.len() as u64;
    }
    Ok((image.size(), hex(&hasher.finalize())))
}

/// Size and SHA-256 of `bytes`.
pub(crate) fn hash_of(bytes: &[u8]) -> (u64, String) {
    (bytes.len() as u64, hex(&Sha256::digest(bytes)))
}

/// `bytes`, and zeros up to a whole sector: what formats that count in sectors make of a disk.
pub(crate) fn whole_sectors(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(512), 0);
    padded
}

/// Checks that `image` holds `bytes`, by reading it from end to end.
pub(crate) fn holds(image: &dyn Image, bytes: &[u8]) -> Outcome {
    if image.size() != bytes.len() as u64 {
        return Err(format!("the disk has {} bytes instead of {}", image.size(), bytes.len()).into());
    }
    let mut read = vec![0xa5; CHUNK_LEN];
    for (index, wanted) in bytes.chunks(CHUNK_LEN).enumerate() {
        let offset = (index * CHUNK_LEN) as u64;
        image.read_at(&mut read[..wanted.len()], offset)?;
        same_bytes(&read[..wanted.len()], wanted, offset)?;
    }
    Ok(())
}

/// Checks that two images hold the same. What both call zero is not read, so that huge empty disks take no time.
pub(crate) fn same_guest(left: &dyn Image, right: &dyn Image) -> Outcome {
    if left.size() != right.size() {
        return Err(format!("the disks have {} and {} bytes", left.size(), right.size()).into());
    }
    let (mut a, mut b) = (vec![0; CHUNK_LEN], vec![0; CHUNK_LEN]);
    let mut next = 0;
    while next < left.size() {
        let (x, y) = (extent_at(left, next)?, extent_at(right, next)?);
        let end = x.end().min(y.end());
        if !(x.is_zero() && y.is_zero()) {
            let mut at = next;
            while at < end {
                let len = part_len(end - at);
                left.read_at(&mut a[..len], at)?;
                right.read_at(&mut b[..len], at)?;
                same_bytes(&a[..len], &b[..len], at)?;
                at += len as u64;
            }
        }
        next = end;
    }
    Ok(())
}

/// The extent that starts at `offset`.
fn extent_at(image: &dyn Image, offset: u64) -> Outcome<Extent> {
    let mut extents = Vec::new();
    image.extents(offset..image.size(), 1, &mut extents)?;
    extents.first().copied().ok_or_else(|| "a map answered with no extent".into())
}

/// Checks that bytes from guest byte `offset` on are alike, and names the first that is not.
fn same_bytes(left: &[u8], right: &[u8], offset: u64) -> Outcome {
    if left == right {
        return Ok(());
    }
    let first = left.iter().zip(right).position(|(a, b)| a != b).unwrap_or(0);
    Err(format!("the disks differ from guest byte {} on", offset + first as u64).into())
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The length of the next part of `rest` bytes.
fn part_len(rest: u64) -> usize {
    usize::try_from(rest).unwrap_or(CHUNK_LEN).min(CHUNK_LEN)
}

/// Bytes that are read at once.
const CHUNK_LEN: usize = 1 << 20;
