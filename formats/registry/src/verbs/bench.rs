//! How fast an image can be read or written.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use imgfmt_core::{AlignedBuf, Chain, Error, ErrorKind, Image, ImageEditor, Opener, Result};

use super::edited::Edited;
use super::open::{Access, open};
use super::request::Source;
use super::store::buffer;

/// Which requests an image is given.
#[derive(Clone)]
pub struct BenchRequest<'a> {
    /// The image.
    pub source: Source,
    /// Requests in all.
    pub count: u64,
    /// Requests that are on their way at a time.
    pub depth: u32,
    /// Bytes of a request.
    pub buffer_size: u64,
    /// Bytes from the start of a request to that of the next; `None` is the size of a request. Behind the end of the disk it
    /// goes on at its start.
    pub step: Option<u64>,
    /// Where the first request starts.
    pub offset: u64,
    /// Whether requests write, in place of reading.
    pub write: bool,
    /// The value of the bytes that are written.
    pub pattern: u8,
    /// Writes after which the image is flushed.
    pub flush_interval: Option<u64>,
    /// Whether writes go on while the image is flushed.
    pub no_drain: bool,
    /// What the image may do while it is opened.
    pub access: Access<'a>,
}

impl BenchRequest<'_> {
    /// Reads of 4 KiB, 75000 of them with 64 at a time, from the image at `path`, in a format that is probed.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            source: Source { path: path.into(), format: None },
            count: DEFAULT_COUNT,
            depth: DEFAULT_DEPTH,
            buffer_size: DEFAULT_BUFFER_SIZE,
            step: None,
            offset: 0,
            write: false,
            pattern: 0,
            flush_interval: None,
            no_drain: false,
            access: Access::default(),
        }
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BenchResult {
    /// How long it took.
    pub elapsed: Duration,
    /// Requests that were done.
    pub requests: u64,
    /// Bytes that they read or wrote.
    pub bytes: u64,
}

/// Gives an image many requests, and measures how long they take. Opening is not measured.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for requests that make no sense, and what opening, reading and writing say.
pub fn bench(request: &BenchRequest<'_>) -> Result<BenchResult> {
    let run = || if request.write { bench_writes(request) } else { bench_reads(request) };
    run().map_err(|e| e.context(format!("cannot measure {}", request.source.path.display())))
}

/// Measures reads.
fn bench_reads(request: &BenchRequest<'_>) -> Result<BenchResult> {
    if request.flush_interval.is_some() {
        return Err(Error::invalid("only writes are flushed"));
    }
    let disk = open(&request.source.path, request.source.format.as_deref(), &request.access)?;
    let read = |buf: &mut [u8], offset| disk.read_at(buf, offset);
    measure(request, disk.size(), &read, &|| Ok(()))
}

/// Measures writes.
fn bench_writes(request: &BenchRequest<'_>) -> Result<BenchResult> {
    let image = Edited::open(&request.source, &request.access)?;
    let opener = Opener { wrappers: &[], ..request.access.opener() };
    let mut layers = opener.open_layers(image.storage(), image.path(), Some(image.kind.name))?;
    // The image itself is read through its editor, which does not share its other files.
    drop(layers.remove(0));
    image.edit(|editor| {
        let top = editor.image()?;
        let unit = top.describe().cluster_size.unwrap_or(1).max(1);
        let whole = Chain::new(std::iter::once(top).chain(layers.into_iter().map(|layer| layer.image)).collect())?;
        // A unit of which a part is a parent's is filled by one thread, and meanwhile nobody else writes.
        let alone = RwLock::new(());
        let write = |buf: &mut [u8], offset: u64| {
            buf.fill(request.pattern);
            let written = {
                let _shared = alone.read().unwrap_or_else(PoisonError::into_inner);
                editor.write_at(buf, offset)
            };
            match written {
                Err(error) if error.kind() == ErrorKind::Missing => {
                    let _alone = alone.write().unwrap_or_else(PoisonError::into_inner);
                    write_whole_units(editor, &whole, unit, buf, offset)
                }
                other => other,
            }
        };
        measure(request, whole.size(), &write, &|| editor.flush())
    })
}

/// Writes `bytes` unit by unit, while nobody else writes: where a unit has nothing in this layer yet, its other bytes are
/// those of `whole`, which was opened before anything was written.
fn write_whole_units(editor: &dyn ImageEditor, whole: &Chain, unit: u64, bytes: &[u8], offset: u64) -> Result<()> {
    let mut rest = bytes;
    let mut at = offset;
    while !rest.is_empty() {
        let start = at - at % unit;
        let end = start.saturating_add(unit).min(whole.size());
        let len = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(rest.len()).max(1);
        let (part, behind) = rest.split_at(len);
        match editor.write_at(part, at) {
            Err(error) if error.kind() == ErrorKind::Missing => {
                let mut filled = buffer(&(start..end))?;
                whole.read_at(&mut filled, start)?;
                let from = usize::try_from(at - start).unwrap_or(usize::MAX);
                filled[from..from + len].copy_from_slice(part);
                editor.write_at(&filled, start)?;
            }
            other => other?,
        }
        at += len as u64;
        rest = behind;
    }
    Ok(())
}

/// Does all requests on a disk of `size` bytes with `act`, and `flush`es in between.
fn measure(
    request: &BenchRequest<'_>,
    size: u64,
    act: &(dyn Fn(&mut [u8], u64) -> Result<()> + Sync),
    flush: &(dyn Fn() -> Result<()> + Sync),
) -> Result<BenchResult> {
    check(request, size)?;
    let len =
        usize::try_from(request.buffer_size).map_err(|_| Error::invalid("the buffer does not fit into memory"))?;
    let bench = Bench { request, size, state: Mutex::new(State::new(request)), changed: Condvar::new() };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let work = || {
            let mut buf = AlignedBuf::zeroed(len);
            while let Some(offset) = bench.begin() {
                bench.end(act(&mut buf, offset), flush);
            }
        };
        for _ in 1..request.depth.min(MAX_THREADS) {
            // Fewer threads than asked for is slower, not wrong.
            if std::thread::Builder::new().stack_size(STACK_LEN).spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    let state = bench.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = state.error {
        return Err(error);
    }
    if request.write {
        flush()?;
    }
    let bytes = state.done.saturating_mul(request.buffer_size);
    Ok(BenchResult { elapsed: start.elapsed(), requests: state.done, bytes })
}

/// Refuses requests that make no sense.
fn check(request: &BenchRequest<'_>, size: u64) -> Result<()> {
    let what = match request {
        _ if request.depth == 0 => "at least one request has to be on its way",
        _ if request.buffer_size == 0 => "a request has at least one byte",
        _ if request.flush_interval == Some(0) => "a flush comes after at least one write",
        _ if request.no_drain && request.flush_interval.is_none() => "nothing goes on while nothing is flushed",
        _ if request.offset.checked_add(request.buffer_size).is_none_or(|end| end > size) => {
            "the first request passes the end of the disk"
        }
        _ => return Ok(()),
    };
    Err(Error::invalid(what))
}

/// The requests as all threads see them.
struct Bench<'a> {
    /// What is asked for.
    request: &'a BenchRequest<'a>,
    /// Guest bytes of the disk.
    size: u64,
    /// How far it is.
    state: Mutex<State>,
    /// Told when a request may begin that could not before.
    changed: Condvar,
}

/// How far the requests are.
struct State {
    /// Where the next one starts.
    offset: u64,
    /// Requests that have not begun.
    left: u64,
    /// Requests on their way.
    in_flight: u64,
    /// Requests that are done.
    done: u64,
    /// Whether none may begin, for the image is flushed.
    draining: bool,
    /// The first error.
    error: Option<Error>,
}

impl State {
    /// Nothing is done yet.
    fn new(request: &BenchRequest<'_>) -> Self {
        Self { offset: request.offset, left: request.count, in_flight: 0, done: 0, draining: false, error: None }
    }
}

impl Bench<'_> {
    /// Where the next request starts, or `None` where there is none.
    fn begin(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.draining && state.error.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.left == 0 || state.error.is_some() {
            return None;
        }
        state.left -= 1;
        state.in_flight += 1;
        let offset = state.offset;
        let next = offset.saturating_add(self.request.step.unwrap_or(self.request.buffer_size)) % self.size;
        state.offset = if next.saturating_add(self.request.buffer_size) > self.size { 0 } else { next };
        Some(offset)
    }

    /// Takes note of a request that has been done, and flushes where it is time to.
    fn end(&self, result: Result<()>, flush: &(dyn Fn() -> Result<()> + Sync)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_flight -= 1;
        match result {
            Ok(()) => state.done += 1,
            Err(error) => {
                state.error.get_or_insert(error);
            }
        }
        let due = self.request.flush_interval.is_some_and(|interval| state.done.is_multiple_of(interval));
        if due && state.error.is_none() {
            state.draining = !self.request.no_drain;
            while state.draining && state.in_flight > 0 && state.error.is_none() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            drop(state);
            let flushed = flush();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.draining = false;
            if let Err(error) = flushed {
                state.error.get_or_insert(error);
            }
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// Requests where nothing is said. QEMU's number.
const DEFAULT_COUNT: u64 = 75_000;
/// Requests at a time where nothing is said. QEMU's number.
const DEFAULT_DEPTH: u32 = 64;
/// Bytes of a request where nothing is said. QEMU's number.
const DEFAULT_BUFFER_SIZE: u64 = 4096;
/// Threads at most, however many requests are to be on their way.
const MAX_THREADS: u32 = 1024;
/// Bytes of the stack of a thread: nothing on it is large, and there are many.
const STACK_LEN: usize = 512 << 10;
