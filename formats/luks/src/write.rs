//! Writing: the header with a new key, and behind it every byte of the disk, encrypted.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use imgfmt_core::{CreateRequest, Error, ImageWriter, Order, Piece, Placed, Result, Shape, Target};
use imgfmt_crypt::{LuksSettings, Random, SECTOR_LEN, SectorCipher, Volume};

use crate::options::{CREATE, KEY_SECRET};

/// Starts the container that `request` asks for; keys and salts are what `random` gives.
///
/// # Errors
///
/// As [`Format::create`](imgfmt_core::Format::create).
pub(crate) fn create(
    target: Arc<dyn Target>,
    request: &CreateRequest<'_>,
    random: Random,
) -> Result<Box<dyn ImageWriter>> {
    refuse(request)?;
    request.options.check(CREATE)?;
    let id = request.options.get(KEY_SECRET.name);
    let id = id.ok_or_else(|| Error::invalid("a LUKS container needs key-secret=ID"))?;
    let settings = LuksSettings::parse(request.options, "")?;
    let words = [("off", Space::Off), ("falloc", Space::Falloc), ("full", Space::Full)];
    let space = request.options.word("preallocation", &words, Space::Off)?;
    if target.in_order() && space != Space::Off {
        return Err(Error::invalid("preallocation needs a file: a pipe has no space to take"));
    }
    let volume = Volume::new(&settings, request.secrets.get(id)?, random)?;
    Ok(Box::new(LuksWriter::new(target, request, space, volume)?))
}

/// Refuses what the format does not have.
fn refuse(request: &CreateRequest<'_>) -> Result<()> {
    let missing = [
        (request.compress, "cannot be compressed"),
        (request.backing.is_some(), "cannot have a backing file"),
        (!request.bitmaps.is_empty(), "cannot carry bitmaps"),
    ];
    match missing.iter().find(|(is_wanted, _)| *is_wanted) {
        Some((_, what)) => Err(Error::invalid(format!("LUKS containers {what}"))),
        None => Ok(()),
    }
}

/// The values of the option `preallocation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    /// Only what is written takes space.
    Off,
    /// The file system takes the space, without anything being written.
    Falloc,
    /// All bytes are written.
    Full,
}

/// Writes a container.
struct LuksWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What encrypts it.
    cipher: Box<dyn SectorCipher>,
    /// The byte at which the disk begins.
    start: u64,
    /// Guest bytes, as far as they are known.
    size: AtomicU64,
    /// Whether the rest of them will be told.
    grows: bool,
    /// Whether no guest bytes will come, so that the file is made as long as they would make it.
    is_blank: bool,
}

impl LuksWriter {
    /// Writes the header, and takes space as the options say.
    fn new(target: Arc<dyn Target>, request: &CreateRequest<'_>, space: Space, volume: Volume) -> Result<Self> {
        let in_order = target.in_order();
        let Volume { mut header, header_len: start, cipher } = volume;
        // The places of the other slots are zero, also on a device that had something there.
        header.resize(usize::try_from(start).unwrap_or(usize::MAX), 0);
        let end = end_of(start, request.size)?;
        if !in_order {
            target.set_len(end)?;
            if space == Space::Falloc {
                target.reserve(0..end)?;
            }
        }
        target.write_at(&header, 0)?;
        let is_blank = request.blank && space != Space::Full && !in_order;
        Ok(Self { target, cipher, start, size: AtomicU64::new(request.size), grows: request.size_grows, is_blank })
    }
}

impl ImageWriter for LuksWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: SECTOR_LEN as u64,
            order: if self.target.in_order() { Order::Ordered } else { Order::Random },
            compression: None,
            pads_last: true,
            stores_plain: false,
            // What is not written would be noise.
            zeros_as_data: !self.is_blank,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        Ok(Placed { host: self.start + piece.guest, len: piece.len })
    }

    fn store(&self, piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            scratch.extend_from_slice(bytes);
            scratch.resize(bytes.len().next_multiple_of(SECTOR_LEN), 0);
            self.cipher.encrypt(scratch, piece.guest / SECTOR_LEN as u64);
            self.target.write_at(scratch, host)
        })
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, size: u64) -> Result<()> {
        if !self.grows {
            return Err(Error::unsupported("the size of the disk was known before"));
        }
        end_of(self.start, size)?;
        self.size.store(size, Ordering::Relaxed);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        if self.grows && !self.target.in_order() {
            self.target.set_len(end_of(self.start, self.size.load(Ordering::Relaxed))?)?;
        }
        Ok(())
    }
}

/// The byte at which a container ends whose disk begins at byte `start` and has `size` bytes.
fn end_of(start: u64, size: u64) -> Result<u64> {
    let end = size.checked_next_multiple_of(SECTOR_LEN as u64).and_then(|size| size.checked_add(start));
    end.filter(|end| i64::try_from(*end).is_ok())
        .ok_or_else(|| Error::limit(format!("a disk of {size} bytes is longer than any file")))
}

thread_local! {
    /// Encrypted bytes on their way to the target: one piece at a time in each thread, in memory that is used again.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
