//! An export of a server, and what can be asked of it.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use imgfmt_core::{Error, Result};

use crate::address::NbdAddress;
use crate::chunk::Wanted;
use crate::connection::{Connection, Reply};
use crate::handshake::{self, Export};
use crate::known::Known;
use crate::line::{Line, Patience};
use crate::stream::Stream;
use crate::wire::{
    self, CMD_BLOCK_STATUS, CMD_READ, CMD_WRITE, EINVAL, FLAG_HAS_FLAGS, FLAG_READ_ONLY, FLAG_SEND_RESIZE, Request,
};

/// An export of an NBD server: storage to read, and a [`Medium`](imgfmt_core::Medium) where the server lets it be written.
///
/// Any number of threads use one connection. What the server sends is bounded by what was asked for. Dropping it says
/// good-bye.
#[derive(Debug)]
pub struct NbdExport {
    /// The connection.
    connection: Connection,
    /// What the server said of the export.
    pub(crate) export: Export,
    /// Its length in bytes.
    pub(crate) len: AtomicU64,
    /// What the last answer said of zeros.
    known: Mutex<Known>,
    /// Held while a block is read, changed, and written back.
    changing: Mutex<()>,
    /// Held while the export grows.
    pub(crate) growing: Mutex<()>,
    /// What serves it and ends with it. Fields go in this order: the connection is closed before.
    server: Option<Box<dyn Server>>,
}

/// What serves an export, and is waited for when that is dropped.
trait Server: Debug + Send + Sync {}

impl<S: Debug + Send + Sync> Server for S {}

impl NbdExport {
    /// Connects to the export at `address`.
    ///
    /// # Errors
    ///
    /// [`Missing`](imgfmt_core::ErrorKind::Missing) where there is no such socket or export,
    /// [`Refused`](imgfmt_core::ErrorKind::Refused) where it is not for us,
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the server wants TLS, [`Io`](imgfmt_core::ErrorKind::Io)
    /// where it cannot be reached, or does not keep to the protocol.
    pub fn open(address: &NbdAddress) -> Result<Self> {
        Self::open_with(address, Patience::default())
    }

    /// As [`open`](Self::open), with `patience`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); [`Cancelled`](imgfmt_core::ErrorKind::Cancelled), also of all that is done with it later.
    pub fn open_with(address: &NbdAddress, patience: Patience) -> Result<Self> {
        Self::on_with(address.connect(&patience)?, &address.export, patience)
    }

    /// Takes over the connected socket `stream`, and asks for the export called `name`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn on(stream: Stream, name: &str) -> Result<Self> {
        Self::on_with(stream, name, Patience::default())
    }

    /// As [`on`](Self::on), with `patience`.
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with).
    pub fn on_with(stream: Stream, name: &str, patience: Patience) -> Result<Self> {
        let mut line = Line::new(stream, patience).map_err(|e| Error::io("cannot use the socket", e))?;
        let export = handshake::client(&mut line, name)?;
        Ok(Self {
            connection: Connection::new(line, export.allocation),
            export,
            len: AtomicU64::new(export.size),
            known: Mutex::default(),
            changing: Mutex::default(),
            growing: Mutex::default(),
            server: None,
        })
    }

    /// An error of [`on`](Self::on) in the words of the server: for a server that belongs to its client.
    ///
    /// # Errors
    ///
    /// The same error, where the server has not told why it refuses.
    pub fn in_its_words(error: Error) -> Result<Error> {
        match error.to_string().split_once(handshake::SAID) {
            Some((_, said)) => Ok(Error::new(error.kind(), said)),
            None => Err(error),
        }
    }

    /// The same export, which drops `server` when it is dropped itself, and has said good-bye.
    #[must_use]
    pub fn served_by(mut self, server: impl Debug + Send + Sync + 'static) -> Self {
        self.server = Some(Box::new(server));
        self
    }

    /// Whether the server lets it be written.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !(self.export.has(FLAG_HAS_FLAGS) && self.export.has(FLAG_READ_ONLY))
    }

    /// Whether its length can be changed, with an extension of the protocol.
    #[must_use]
    pub fn is_resizable(&self) -> bool {
        self.is_writable() && self.export.has(FLAG_SEND_RESIZE)
    }

    /// The smallest range of whole blocks around `range`, which lies within the export. Of a last block that is none, since the
    /// export ends within it, it is as much as there is: the server may let it be asked for, or not.
    pub(crate) fn blocks(&self, range: &Range<u64>) -> Range<u64> {
        let block = u64::from(self.export.min_block);
        let end = range.end.next_multiple_of(block).min(self.len.load(Ordering::Acquire).max(range.end));
        range.start / block * block..end
    }

    /// Reads `range`, whole blocks of it.
    pub(crate) fn read_blocks(&self, buf: &mut [u8], range: &Range<u64>) -> io::Result<()> {
        parts(range, self.export.max_payload)
            .try_for_each(|part| self.read_part(&mut buf[index(&part, range.start)], part.start))
    }

    /// Writes `range`, which need not be whole blocks.
    pub(crate) fn write_range(&self, bytes: &[u8], range: &Range<u64>) -> io::Result<()> {
        let blocks = self.blocks(range);
        if blocks == *range {
            return self.write_blocks(bytes, range);
        }
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let block = u64::from(self.export.min_block);
        let mut whole = vec![0; index(&blocks, blocks.start).len()];
        // Only the first and the last block have bytes that stay.
        let last = (blocks.end - 1) / block * block;
        for edge in [blocks.start..blocks.end.min(blocks.start + block), last..blocks.end] {
            self.read_blocks(&mut whole[index(&edge, blocks.start)], &edge)?;
        }
        whole[index(range, blocks.start)].copy_from_slice(bytes);
        self.write_blocks(&whole, &blocks)
    }

    /// Writes `range`, whole blocks of it.
    fn write_blocks(&self, bytes: &[u8], range: &Range<u64>) -> io::Result<()> {
        parts(range, self.export.max_payload).try_for_each(|part| {
            let within = &bytes[index(&part, range.start)];
            self.command(request(CMD_WRITE, part.start, length(within.len() as u64)?), within)
        })
    }

    /// Reads whole blocks, few enough for one request.
    fn read_part(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let len = length(buf.len() as u64)?;
        let wanted = Wanted::Data { offset, len, structured: self.export.structured };
        let mut reply = self.ask(request(CMD_READ, offset, len), &[], wanted, buf)?;
        if reply.is_full(buf.len()) {
            return Ok(());
        }
        Err(wire::wrong(format!("some of {} bytes twice, or not at all, in reply to a read", buf.len())))
    }

    /// Sends a command whose reply holds nothing but whether it was done.
    pub(crate) fn command(&self, request: Request, payload: &[u8]) -> io::Result<()> {
        self.ask(request, payload, Wanted::Done, &mut []).map(drop)
    }

    /// Asks what is allocated in `range`, whole blocks of it.
    pub(crate) fn ask_status(&self, range: Range<u64>) -> io::Result<Known> {
        let len = length(range.end - range.start)?;
        let reply = self.ask(request(CMD_BLOCK_STATUS, range.start, len), &[], Wanted::Status, &mut [])?;
        Ok(Known::new(range, &reply.status))
    }

    /// Sends a request, and waits for the reply, which may say that it was not done.
    fn ask(&self, request: Request, payload: &[u8], wanted: Wanted, place: &mut [u8]) -> io::Result<Reply> {
        let reply = self.connection.exchange(request, payload, wanted, place)?;
        match &reply.failed {
            Some((EINVAL, _)) if self.is_cut(request) => {
                let block = self.export.min_block;
                let what = format!(
                    "the export ends within a block of {block} bytes, which the server does not let be asked for"
                );
                Err(io::Error::new(io::ErrorKind::InvalidInput, what))
            }
            Some((error, said)) => Err(said_by_server(*error, said)),
            None => Ok(reply),
        }
    }

    /// Whether a request ends with the export, within a block.
    fn is_cut(&self, request: Request) -> bool {
        !request.len.is_multiple_of(self.export.min_block)
    }

    /// What is known of zeros. A panic of another thread while it held that left it whole.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NbdExport {
    fn drop(&mut self) {
        self.connection.close();
    }
}

/// Parts of `range` that are at most `most` bytes long.
fn parts(range: &Range<u64>, most: u32) -> impl Iterator<Item = Range<u64>> + use<> {
    let (mut at, end) = (range.start, range.end);
    std::iter::from_fn(move || {
        let part = at..end.min(at.saturating_add(most.into()));
        at = part.end;
        (!part.is_empty()).then_some(part)
    })
}

/// A request that is not sent yet.
pub(crate) fn request(command: u16, offset: u64, len: u32) -> Request {
    Request { flags: 0, command, cookie: 0, offset, len }
}

/// A length as a request has it.
pub(crate) fn length(len: u64) -> io::Result<u32> {
    u32::try_from(len).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a request is too long"))
}

/// Where the bytes of `part` are in a buffer in memory that begins with byte `start`.
pub(crate) fn index(part: &Range<u64>, start: u64) -> Range<usize> {
    let place = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
    place(part.start)..place(part.end)
}

/// An error that the server tells of.
fn said_by_server(error: u32, said: &str) -> io::Error {
    let system = io::Error::from_raw_os_error(i32::try_from(error).unwrap_or(EIO));
    if said.is_empty() { system } else { io::Error::new(system.kind(), format!("{system}; the server says: {said}")) }
}

/// `EIO`, for an error that is none.
const EIO: i32 = 5;
