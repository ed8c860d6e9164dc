//! One connection that many threads share: requests are sent as they come, and replies go to whom they are for.
//!
//! There is no thread that only reads. Of those who wait for replies, one reads for all, until it has its own.

use std::collections::HashMap;
use std::io::{self, BufReader};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::chunk::{Chunk, Part, Wanted};
use crate::line::{self, Line};
use crate::wire::{self, CMD_DISC, ReplyHead, Request};

/// A connection after the handshake.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Where requests go.
    out: Mutex<Line>,
    /// The same line, to end it while others use it.
    line: Line,
    /// What is known of replies.
    replies: Mutex<Replies>,
    /// Signalled when there is something new in `replies`.
    news: Condvar,
    /// The next cookie.
    next: AtomicU64,
    /// What the server calls the metadata context that says what is allocated.
    allocation: Option<u32>,
}

/// A whole reply.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Which bytes have come of those that were asked for.
    filled: Vec<Range<usize>>,
    /// What is allocated, from the asked offset on: lengths and states.
    pub(crate) status: Vec<(u32, u32)>,
    /// That it was not done: an error number, and what the server says to it.
    pub(crate) failed: Option<(u32, String)>,
}

impl Reply {
    /// Whether all of `len` bytes have come that were asked for, each once.
    pub(crate) fn is_full(&mut self, len: usize) -> bool {
        self.filled.sort_unstable_by_key(|range| range.start);
        let mut end = 0;
        self.filled.iter().all(|range| range.start == std::mem::replace(&mut end, range.end)) && end == len
    }

    /// Takes what one part of it says.
    fn take(&mut self, part: Part, place: &mut [u8]) {
        match part {
            Part::Nothing => {}
            Part::InPlace(at, len) => self.filled.push(at..at + len),
            Part::Data(at, bytes) => {
                place[at..at + bytes.len()].copy_from_slice(&bytes);
                self.filled.push(at..at + bytes.len());
            }
            Part::Hole(at, len) => {
                place[at..at + len].fill(0);
                self.filled.push(at..at + len);
            }
            Part::Status(runs) => self.status = runs,
            Part::Failed(error, said) => self.failed = Some((error, said)),
        }
    }
}

/// What is known of replies.
#[derive(Debug)]
struct Replies {
    /// Where they come from; nothing while somebody reads.
    input: Option<BufReader<Line>>,
    /// What is waited for.
    wanted: HashMap<u64, Awaited>,
    /// What has come for somebody else than who read it.
    come: HashMap<u64, Vec<Chunk>>,
    /// Why nothing more will come.
    broken: Option<Broken>,
}

/// A reply that is waited for.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    /// What it may hold.
    wanted: Wanted,
    /// Bytes that may still come.
    bytes: usize,
    /// Parts without bytes that may still come.
    others: usize,
}

impl Awaited {
    /// A reply of which nothing has come.
    fn new(wanted: Wanted) -> Self {
        let bytes = if let Wanted::Data { len, .. } = wanted { len as usize } else { 0 };
        Self { wanted, bytes, others: MAX_OTHERS }
    }

    /// Counts a part that has come; says whether there may be so many. Else a server could send parts without an end.
    fn takes(&mut self, part: &Part) -> bool {
        let (left, len) = match part {
            Part::Data(_, bytes) => (&mut self.bytes, bytes.len()),
            Part::InPlace(_, len) | Part::Hole(_, len) => (&mut self.bytes, (*len).max(1)),
            Part::Nothing | Part::Status(_) | Part::Failed(..) => (&mut self.others, 1),
        };
        let fits = *left >= len;
        *left = left.saturating_sub(len);
        fits
    }
}

/// Why nothing more will come.
#[derive(Clone, Debug)]
enum Broken {
    /// The caller does not wait any longer.
    Cancelled,
    /// What went wrong.
    Failed(io::ErrorKind, String),
}

impl Broken {
    /// What `error` means for all requests.
    fn new(error: &io::Error) -> Self {
        match error.kind() {
            _ if line::is_cancelled(error) => Self::Cancelled,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Self::Failed(error.kind(), "the server has closed the connection".to_owned())
            }
            kind => Self::Failed(kind, error.to_string()),
        }
    }

    /// The same for one request.
    fn error(&self) -> io::Error {
        match self {
            Self::Cancelled => line::cancelled(),
            Self::Failed(kind, what) => io::Error::new(*kind, what.clone()),
        }
    }
}

impl Connection {
    /// Takes over a line.
    pub(crate) fn new(line: Line, allocation: Option<u32>) -> Self {
        let replies = Replies {
            input: Some(BufReader::with_capacity(BUFFER_LEN, line.clone())),
            wanted: HashMap::new(),
            come: HashMap::new(),
            broken: None,
        };
        Self {
            out: Mutex::new(line.clone()),
            line,
            replies: Mutex::new(replies),
            news: Condvar::new(),
            next: AtomicU64::new(1),
            allocation,
        }
    }

    /// Sends `request` with its payload, and waits for the reply. Bytes that were asked for go to `place`, which has room for all.
    ///
    /// # Errors
    ///
    /// Why it cannot be sent, or no whole reply comes.
    pub(crate) fn exchange(
        &self,
        request: Request,
        payload: &[u8],
        wanted: Wanted,
        place: &mut [u8],
    ) -> io::Result<Reply> {
        let request = Request { cookie: self.next.fetch_add(1, Ordering::Relaxed), ..request };
        self.replies()?.wanted.insert(request.cookie, Awaited::new(wanted));
        let sent = request.write(&mut *self.out.lock().unwrap_or_else(PoisonError::into_inner), payload);
        if let Err(error) = sent {
            let error = self.break_off(&mut self.lock(), &error);
            self.news.notify_all();
            return Err(error);
        }
        let mut reply = Reply::default();
        loop {
            for chunk in self.next_chunks(request.cookie, place)? {
                reply.take(chunk.part, place);
                if chunk.done {
                    return Ok(reply);
                }
            }
        }
    }

    /// Waits for chunks of the reply to `cookie`, and reads meanwhile what comes for others.
    fn next_chunks(&self, cookie: u64, place: &mut [u8]) -> io::Result<Vec<Chunk>> {
        let mut replies = self.replies()?;
        loop {
            if let Some(chunks) = replies.come.remove(&cookie) {
                return Ok(chunks);
            }
            let Some(mut input) = replies.input.take() else {
                replies = self.news.wait(replies).unwrap_or_else(PoisonError::into_inner);
                replies.check()?;
                continue;
            };
            drop(replies);
            let read = self.read_chunk(&mut input, cookie, place);
            replies = self.lock();
            let done = read.and_then(|(to, chunk)| replies.file(to, chunk));
            // Nobody reads on behind an error.
            let done = done.map(|()| replies.input = Some(input)).map_err(|error| self.break_off(&mut replies, &error));
            self.news.notify_all();
            done?;
        }
    }

    /// Reads the next chunk, whoever it is for. What is for `own` goes to its place.
    fn read_chunk(&self, input: &mut BufReader<Line>, own: u64, place: &mut [u8]) -> io::Result<(u64, Chunk)> {
        let head = ReplyHead::read(input)?;
        let wanted = self.replies()?.wanted.get(&head.cookie()).map(|awaited| awaited.wanted);
        let wanted = wanted.ok_or_else(|| wire::wrong("a reply is to no request".to_owned()))?;
        let place = (head.cookie() == own).then_some(place);
        Ok((head.cookie(), Chunk::read(input, head, wanted, place, self.allocation)?))
    }

    /// Says good-bye.
    pub(crate) fn close(&self) {
        if self.lock().broken.is_none() {
            let bye = Request { flags: 0, command: CMD_DISC, cookie: 0, offset: 0, len: 0 };
            // The server notices anyway.
            let _ = bye.write(&mut *self.out.lock().unwrap_or_else(PoisonError::into_inner), &[]);
        }
    }

    /// What is known of replies, as long as some can come.
    fn replies(&self) -> io::Result<MutexGuard<'_, Replies>> {
        let replies = self.lock();
        replies.check()?;
        Ok(replies)
    }

    /// What is known of replies. A panic of another thread while it held them left them whole.
    fn lock(&self) -> MutexGuard<'_, Replies> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection, remembers that nothing more will come, and says so. What others have sent in part, or wait for, is
    /// no part of a conversation any more.
    fn break_off(&self, replies: &mut Replies, error: &io::Error) -> io::Error {
        self.line.end();
        replies.broken.get_or_insert_with(|| Broken::new(error)).error()
    }
}

impl Replies {
    /// Puts `chunk` where who waits for the reply to `cookie` finds it.
    fn file(&mut self, cookie: u64, chunk: Chunk) -> io::Result<()> {
        if !self.wanted.get_mut(&cookie).is_some_and(|awaited| awaited.takes(&chunk.part)) {
            return Err(wire::wrong("a reply has more parts than it can have".to_owned()));
        }
        if chunk.done {
            self.wanted.remove(&cookie);
        }
        self.come.entry(cookie).or_default().push(chunk);
        Ok(())
    }

    /// Says why nothing more will come, where it will not.
    fn check(&self) -> io::Result<()> {
        match &self.broken {
            Some(broken) => Err(broken.error()),
            None => Ok(()),
        }
    }
}

/// Bytes that are read ahead: the heads of replies come with what follows them.
const BUFFER_LEN: usize = 4096;
/// Parts of a reply at most that are no bytes: errors of some places of what was asked for, and an end. Not a rule of the protocol.
const MAX_OTHERS: usize = 64;
