//! Puts what the workers did into guest order, and hands out what is to be stored.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use super::buffers::{Buffers, Bytes};
use super::hashing::{Part, parts};
use super::work::Done;
use crate::writer::{Form, ImageWriter, Order, Piece};
use crate::{Error, Result};

/// A job whose pieces have their places.
pub(super) struct Placed {
    /// What is to be stored where.
    pub(super) stores: Vec<Store>,
    /// The bytes.
    pub(super) buffers: Buffers,
    /// What a hash sees of it; empty where nothing is hashed.
    pub(super) parts: Vec<Part>,
    /// Guest bytes that are settled once this is stored.
    pub(super) guest_len: u64,
}

/// One call of [`ImageWriter::store`].
pub(super) struct Store {
    /// The piece, as far as it lies together.
    pub(super) piece: Piece,
    /// Its place.
    pub(super) host: u64,
    /// Its bytes.
    pub(super) bytes: Bytes,
}

/// What a worker shall do next.
pub(super) enum Next {
    /// Store this.
    Store(Placed),
    /// Hash this, which comes next in order.
    Hash(Placed),
    /// Take a job from the plan, with these buffers.
    Work(Buffers),
    /// Wait until something changes.
    Wait,
    /// Everything is stored, or an error has stopped the rest.
    Stop,
}

/// The state that all workers share; behind one lock, held for moments.
pub(super) struct Pipeline {
    /// Position of the job that is placed next.
    next: u64,
    /// Jobs that were done before their turn.
    ready: BTreeMap<u64, Done>,
    /// Jobs that wait to be hashed, in order, where that is done.
    to_hash: VecDeque<Placed>,
    /// Whether what is placed is hashed before it is stored.
    hashes: bool,
    /// Whether a job is being hashed.
    hashing: bool,
    /// Jobs that wait to be stored.
    to_store: VecDeque<Placed>,
    /// Jobs that are being worked on or stored.
    busy: usize,
    /// Jobs that are being stored.
    storing: usize,
    /// Jobs taken from the plan and not stored yet.
    in_flight: usize,
    /// Most jobs in flight: more would only wait, in buffers that have left the cache.
    max_in_flight: usize,
    /// Most bytes that the buffers of all jobs in flight may hold, unless there is only one.
    max_held: u64,
    /// Most bytes that the buffers of one job have held so far.
    largest: u64,
    /// Whether stores have to come one at a time.
    one_store_at_a_time: bool,
    /// Whether the plan has no more jobs.
    exhausted: bool,
    /// The first error.
    error: Option<Error>,
    /// Buffers to use again.
    spare: Vec<Buffers>,
}

impl Pipeline {
    /// An empty pipeline for `threads` workers, whose buffers hold at most `max_held` bytes, where a job is
    /// thought to hold `job_len`.
    pub(super) fn new(order: Order, threads: usize, max_held: u64, job_len: u64) -> Self {
        Self {
            next: 0,
            ready: BTreeMap::new(),
            to_hash: VecDeque::new(),
            hashes: false,
            hashing: false,
            to_store: VecDeque::new(),
            busy: 0,
            storing: 0,
            in_flight: 0,
            max_in_flight: threads.saturating_mul(JOBS_PER_THREAD),
            max_held,
            largest: job_len.max(1),
            one_store_at_a_time: order == Order::Ordered,
            exhausted: false,
            error: None,
            spare: Vec::new(),
        }
    }

    /// Has every job hashed before it is stored, one after the other in guest order.
    pub(super) fn hash_in_order(&mut self) {
        self.hashes = true;
    }

    /// Says what a worker shall do next, and counts it as begun.
    pub(super) fn begin(&mut self) -> Next {
        if self.error.is_some() {
            return Next::Stop;
        }
        if !(self.one_store_at_a_time && self.storing > 0)
            && let Some(placed) = self.to_store.pop_front()
        {
            self.storing += 1;
            self.busy += 1;
            return Next::Store(placed);
        }
        if !self.hashing
            && let Some(placed) = self.to_hash.pop_front()
        {
            self.hashing = true;
            self.busy += 1;
            return Next::Hash(placed);
        }
        if !self.exhausted && self.has_room() {
            self.in_flight += 1;
            self.busy += 1;
            return Next::Work(self.spare.pop().unwrap_or_default());
        }
        if self.exhausted && self.busy == 0 && self.to_store.is_empty() && self.to_hash.is_empty() {
            Next::Stop
        } else {
            Next::Wait
        }
    }

    /// Whether another job may be in flight, as large as the largest so far.
    fn has_room(&self) -> bool {
        let held = (self.in_flight as u64 + 1).saturating_mul(self.largest);
        self.in_flight == 0 || (self.in_flight < self.max_in_flight && held <= self.max_held)
    }

    /// Takes a job that has been worked on, and places every job whose turn has come.
    pub(super) fn worked(&mut self, done: Done, writer: &dyn ImageWriter) {
        self.busy -= 1;
        self.largest = self.largest.max(done.buffers.held());
        self.ready.insert(done.job.seq, done);
        while self.error.is_none()
            && let Some(done) = self.ready.remove(&self.next)
        {
            self.next += 1;
            match place(done, writer, self.hashes) {
                Ok(placed) if self.hashes => self.to_hash.push_back(placed),
                Ok(placed) => self.to_store.push_back(placed),
                Err(error) => self.fail(error),
            }
        }
    }

    /// Takes a job that has been hashed, to be stored.
    pub(super) fn hashed(&mut self, placed: Placed) {
        self.busy -= 1;
        self.hashing = false;
        self.to_store.push_back(placed);
    }

    /// Takes note that the plan has no more jobs; the worker that was told so has no work.
    pub(super) fn plan_ended(&mut self) {
        self.exhausted = true;
        self.busy -= 1;
        self.in_flight -= 1;
    }

    /// Takes note that a job is stored, and keeps its buffers.
    pub(super) fn stored(&mut self, buffers: Buffers) {
        self.busy -= 1;
        self.storing -= 1;
        self.in_flight -= 1;
        if buffers.held() <= MAX_SPARE_LEN {
            self.spare.push(buffers);
        }
    }

    /// Takes note of an error; the first one wins, and stops the rest.
    pub(super) fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// The outcome, once every worker has stopped.
    pub(super) fn into_result(self) -> Result<()> {
        self.error.map_or(Ok(()), Err)
    }
}

/// Gives every piece of a job its place.
fn place(done: Done, writer: &dyn ImageWriter, hashes: bool) -> Result<Placed> {
    let guest_len = done.job.guest_len();
    let parts = if hashes { parts(&done.job, &done.pieces) } else { Vec::new() };
    let mut stores = Vec::new();
    for piece in &done.job.before {
        place_piece(*piece, Bytes::None, writer, &mut stores)?;
    }
    for (piece, bytes) in done.pieces {
        place_piece(piece, bytes, writer, &mut stores)?;
    }
    Ok(Placed { stores, buffers: done.buffers, parts, guest_len })
}

/// Gives one piece its place, in as many parts as the writer needs.
fn place_piece(mut piece: Piece, mut bytes: Bytes, writer: &dyn ImageWriter, stores: &mut Vec<Store>) -> Result<()> {
    loop {
        let placed = writer.place(&piece)?;
        if placed.len == 0 || placed.len > piece.len {
            return Err(Error::malformed(format!("a writer placed {} of {} bytes", placed.len, piece.len)));
        }
        let last = placed.len == piece.len;
        let here = if last { bytes.clone() } else { take_front(&mut bytes, placed.len) };
        if !matches!(piece.form, Form::Zero | Form::Absent) {
            stores.push(Store { piece: Piece { len: placed.len, ..piece }, host: placed.host, bytes: here });
        }
        if last {
            return Ok(());
        }
        piece.guest += placed.len;
        piece.len -= placed.len;
    }
}

/// Splits off the first `len` bytes of a plain piece.
fn take_front(bytes: &mut Bytes, len: u64) -> Bytes {
    match bytes {
        Bytes::Plain(range) => {
            let middle = range.end.min(range.start.saturating_add(usize::try_from(len).unwrap_or(usize::MAX)));
            let front = range.start..middle;
            range.start = middle;
            Bytes::Plain(front)
        }
        Bytes::Source { source, host } => {
            let front = Bytes::Source { source: *source, host: *host };
            *host += len;
            front
        }
        other => other.clone(),
    }
}

/// Jobs in flight for each worker: one that it works on, one that waits for its turn, and some so that a worker
/// whose processor is taken away for a moment does not stop the others.
const JOBS_PER_THREAD: usize = 4;
/// Memory that the buffers of one job may hold to be kept for the next: 8 MiB.
const MAX_SPARE_LEN: u64 = 8 << 20;
