//! The other side: a medium served to one client.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use byteorder::{BigEndian, ByteOrder, WriteBytesExt};
use imgfmt_core::{Error, ErrorKind, Medium, Result};

use crate::offer;
use crate::stream::Stream;
use crate::wire::{
    self, CHUNK_BLOCK_STATUS, CHUNK_ERROR, CHUNK_NONE, CHUNK_OFFSET_DATA, CMD_BLOCK_STATUS, CMD_DISC, CMD_FLUSH,
    CMD_READ, CMD_RESIZE, CMD_TRIM, CMD_WRITE, CMD_WRITE_ZEROES, DEFAULT_MAX_PAYLOAD, EINVAL, EIO, ENOSPC, EPERM,
    ReplyHead, Request, STATE_HOLE, STATE_ZERO,
};

/// What is served to a client.
#[derive(Clone, Debug)]
pub struct Served {
    /// The bytes.
    pub medium: Arc<dyn Medium>,
    /// Whether the client may write, and change the length.
    pub writable: bool,
    /// How many requests are answered at a time.
    pub threads: NonZeroUsize,
}

impl Served {
    /// Serves one client, under any name that it asks for, until it says good-bye or hangs up.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) where the client cannot be talked to, or does not keep to the protocol.
    pub fn serve(&self, mut stream: Stream) -> Result<()> {
        let failed = |e| Error::io("cannot serve the NBD client", e);
        let Some(agreed) = offer::server(&mut stream, Some(self)).map_err(failed)? else { return Ok(()) };
        let out = Mutex::new(stream.again().map_err(failed)?);
        let input = Mutex::new(Some(stream));
        let job = Job { served: self, agreed, input: &input, out: &out };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads.get()).map(|_| scope.spawn(|| job.work())).collect();
            let done = workers.into_iter().map(|worker| {
                worker.join().unwrap_or_else(|_| Err(io::Error::other("a thread of the server has panicked")))
            });
            done.collect::<Vec<_>>().into_iter().collect::<io::Result<()>>().map_err(failed)
        })
    }

    /// Tells the client behind `stream` why it is not served what it asks for.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub fn refuse(mut stream: Stream, error: &Error) -> Result<()> {
        let failed = |e| Error::io("cannot serve the NBD client", e);
        offer::refusing(&mut stream, error).map_err(failed)
    }
}

/// What the threads that serve a client share.
struct Job<'a> {
    /// What is served.
    served: &'a Served,
    /// What was agreed on.
    agreed: offer::Agreed,
    /// Where requests come from; nothing once there are no more.
    input: &'a Mutex<Option<Stream>>,
    /// Where replies go.
    out: &'a Mutex<Stream>,
}

/// What a request is answered with.
enum Answer {
    /// It was done.
    Done,
    /// The bytes in the buffer.
    Data,
    /// What is allocated: lengths and states.
    Status(Vec<(u32, u32)>),
}

impl Job<'_> {
    /// Takes requests and answers them, until there are no more.
    fn work(&self) -> io::Result<()> {
        // What one request takes serves the next, too: fresh memory costs more than the copy into it.
        let mut buffer = Vec::new();
        while let Some(request) = self.next(&mut buffer)? {
            let answer = self.act(&request, &mut buffer);
            self.reply(&request, answer, &buffer)?;
        }
        Ok(())
    }

    /// The next request; its payload, if it has one, is in `buffer` then.
    fn next(&self, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = input.as_mut() else { return Ok(None) };
        let read = read_request(stream, buffer);
        if !matches!(read, Ok(Some(_))) {
            *input = None;
        }
        read
    }

    /// Does what a request asks for. Bytes that are written, or have been read, are in `buffer`.
    fn act(&self, request: &Request, buffer: &mut Vec<u8>) -> Result<Answer> {
        let (medium, range) = (&self.served.medium, request.offset..request.offset.saturating_add(request.len.into()));
        if matches!(request.command, CMD_WRITE | CMD_WRITE_ZEROES | CMD_TRIM | CMD_RESIZE) && !self.served.writable {
            return Err(Error::refused("the export can be read only"));
        }
        if range.end > medium.len() && request.command != CMD_RESIZE {
            return Err(Error::out_of_bounds(format!("the export ends at byte {}", medium.len())).at(range.start));
        }
        match request.command {
            CMD_READ if request.len <= DEFAULT_MAX_PAYLOAD => {
                buffer.resize(request.len as usize, 0);
                medium.read_at(buffer, request.offset)?;
                return Ok(Answer::Data);
            }
            CMD_WRITE => medium.write_at(buffer, request.offset)?,
            CMD_WRITE_ZEROES => medium.clear(range)?,
            // It may, and need not, give space back.
            CMD_TRIM => {}
            CMD_FLUSH => medium.sync()?,
            CMD_RESIZE => medium.set_len(request.offset)?,
            CMD_BLOCK_STATUS if self.agreed.allocation && request.len > 0 => {
                return self.status(range).map(Answer::Status);
            }
            command => return Err(Error::invalid(format!("command {command} is not known here"))),
        }
        Ok(Answer::Done)
    }

    /// What is allocated in `range`.
    fn status(&self, range: std::ops::Range<u64>) -> Result<Vec<(u32, u32)>> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        let mut at = range.start;
        while at < range.end && runs.len() < MAX_RUNS {
            let segment = self.served.medium.segment(at)?;
            let len = u32::try_from(segment.len.get().min(range.end - at)).unwrap_or(u32::MAX);
            let state = if segment.hole { STATE_HOLE | STATE_ZERO } else { 0 };
            match runs.last_mut() {
                Some((known, same)) if *same == state && known.checked_add(len).is_some() => *known += len,
                _ => runs.push((len, state)),
            }
            at += u64::from(len);
        }
        Ok(runs)
    }

    /// Sends the reply to a request.
    fn reply(&self, request: &Request, answer: Result<Answer>, buffer: &[u8]) -> io::Result<()> {
        let cookie = request.cookie;
        let chunk = |kind, len: usize| {
            let len = u32::try_from(len).map_err(|_| wire::wrong("a long reply".to_owned()))?;
            ReplyHead::Chunk { done: true, kind, cookie, len }.to_bytes()
        };
        let simple = |error| ReplyHead::Simple { error, cookie }.to_bytes();
        let structured = self.agreed.structured;
        let (mut head, data) = match answer {
            Ok(Answer::Data) if !structured => (simple(0)?, buffer),
            Ok(Answer::Data) if buffer.is_empty() => (chunk(CHUNK_NONE, 0)?, buffer),
            Ok(Answer::Data) => {
                let mut head = chunk(CHUNK_OFFSET_DATA, 8 + buffer.len())?;
                head.write_u64::<BigEndian>(request.offset)?;
                (head, buffer)
            }
            Ok(Answer::Status(runs)) => {
                let mut head = chunk(CHUNK_BLOCK_STATUS, 4 + 8 * runs.len())?;
                head.write_u32::<BigEndian>(offer::ALLOCATION_ID)?;
                for (len, state) in runs {
                    head.write_u32::<BigEndian>(len)?;
                    head.write_u32::<BigEndian>(state)?;
                }
                (head, &[][..])
            }
            Ok(Answer::Done) => (simple(0)?, &[][..]),
            Err(error) if !structured => (simple(number(&error))?, &[][..]),
            Err(error) => {
                let text = offer::told(&error);
                let mut head = chunk(CHUNK_ERROR, 6 + text.len())?;
                head.write_u32::<BigEndian>(number(&error))?;
                head.write_u16::<BigEndian>(u16::try_from(text.len()).unwrap_or(0))?;
                head.extend_from_slice(text.as_bytes());
                (head, &[][..])
            }
        };
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if data.len() <= SHORT_LEN {
            head.extend_from_slice(data);
            return out.write_all(&head);
        }
        out.write_all(&head)?;
        out.write_all(data)
    }
}

/// The next request, with its payload in `buffer`; nothing where the client says good-bye, or hangs up.
fn read_request(stream: &mut Stream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let request = match Request::read(stream) {
        Ok(request) => request,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    match request.command {
        CMD_DISC => Ok(None),
        CMD_WRITE if request.len > DEFAULT_MAX_PAYLOAD => {
            Err(wire::wrong(format!("{} bytes to be written at once", request.len)))
        }
        CMD_WRITE => {
            buffer.resize(request.len as usize, 0);
            stream.read_exact(buffer)?;
            Ok(Some(request))
        }
        _ => Ok(Some(request)),
    }
}

/// The number of an error.
fn number(error: &Error) -> u32 {
    let mut level: Option<&dyn std::error::Error> = Some(error);
    while let Some(below) = level {
        if let Some(system) = below.downcast_ref::<io::Error>()
            && system.kind() == io::ErrorKind::StorageFull
        {
            return ENOSPC;
        }
        level = below.source();
    }
    match error.kind() {
        ErrorKind::Refused => EPERM,
        ErrorKind::OutOfBounds | ErrorKind::Invalid | ErrorKind::Unsupported => EINVAL,
        _ => EIO,
    }
}

/// The 32-bit number that `bytes` begin with.
pub(crate) fn leading_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_at_checked(4).map(|(number, rest)| (BigEndian::read_u32(number), rest))
}

/// Runs in one answer at most.
const MAX_RUNS: usize = 1024;
/// The longest data that are copied behind their head, in bytes.
const SHORT_LEN: usize = 4096;
