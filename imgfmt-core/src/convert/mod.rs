//! The engine: turns an image into another, on all cores, in bounded memory.
//!
//! One plan, any number of workers. A worker takes a run of the map ahead, reads and decodes it, finds
//! zeros and encodes; the runs are placed in guest order as they become ready; and whichever worker is
//! free stores them. Zero and absent runs never become work. The first error stops the rest.

mod arrive;
mod ask;
mod buffers;
mod copy;
mod editing;
mod fill;
mod hashing;
mod held;
mod order;
mod plan;
mod rate;
mod rescue;
mod run;
mod salvage;
mod work;
mod zero;

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::{self, AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub use copy::KernelCopy;
pub use editing::EditingWriter;
pub use salvage::{Lost, Salvage};
pub use zero::is_zero;

use crate::extent::SourceId;
use crate::hash::Hasher;
use crate::image::Image;
use crate::read::source_of;
use crate::stream::ImageStream;
use crate::writer::{ImageWriter, Order};
use crate::{Error, ErrorKind, Result};
use arrive::Arrivals;
use buffers::Bytes;
use held::Held;
use order::{Next, Pipeline, Placed, Store};
use plan::{Cut, Job, Planner};
use rate::Rate;
use salvage::Rescue;
use work::{Task, Worker};

/// How a conversion is to be done. [`Default`] is right for most.
#[derive(Clone)]
pub struct Convert<'a> {
    /// Threads that work, the caller's among them. By default one for each processor.
    pub threads: NonZeroUsize,
    /// Bytes that the buffers of all jobs on their way may hold together: guest bytes, what was read, and
    /// what was encoded. A unit that alone takes more still goes through.
    pub in_flight: u64,
    /// Runs of zeros in what is read that are found, in bytes, if they are at least this long and
    /// aligned to it; the unit of the target counts where it is larger. `None` looks for none.
    pub zero_grain: Option<u64>,
    /// Layers of the source, this one and those below, that the new image's backing file stands for.
    pub absent_from: Option<u16>,
    /// Whether compressed units may be passed on without being decoded once. Only for input that is
    /// known to be whole: nothing is verified, and zeros in it are not found.
    pub trust_encoded: bool,
    /// Who copies bytes that are stored alike on both sides.
    pub kernel_copy: KernelCopy,
    /// Fed with all guest bytes of the source, in order, while they are converted. All of them are read then.
    pub hasher: Option<&'a Mutex<Hasher>>,
    /// Where what cannot be read becomes zeros, and is noted; without, it is an error.
    pub salvage: Option<&'a Salvage>,
    /// Bytes that may be stored in a second.
    pub rate_limit: Option<NonZeroU64>,
    /// Called from any worker, after each run that is stored.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Stops the conversion.
    pub cancel: Cancel,
}

/// How far a conversion is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Guest bytes that are settled: stored, or known to need no storing.
    pub done: u64,
    /// Guest bytes of the disk.
    pub size: u64,
    /// Bytes that have been stored.
    pub stored: u64,
}

/// Stops a conversion from another thread or a signal handler. Clones stop the same conversion.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks for the end; the conversion returns [`Cancelled`](ErrorKind::Cancelled) soon after.
    pub fn cancel(&self) {
        self.0.store(true, atomic::Ordering::Relaxed);
    }

    /// The flag itself, for a signal handler to set.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Whether the end has been asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(atomic::Ordering::Relaxed)
    }
}

impl Default for Convert<'_> {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            in_flight: DEFAULT_IN_FLIGHT,
            zero_grain: Some(DEFAULT_ZERO_GRAIN),
            absent_from: None,
            trust_encoded: false,
            kernel_copy: KernelCopy::Auto,
            hasher: None,
            salvage: None,
            rate_limit: None,
            progress: None,
            cancel: Cancel::default(),
        }
    }
}

impl<'a> Convert<'a> {
    /// Converts all of `source` with `writer`, and finishes it.
    ///
    /// # Errors
    ///
    /// The first that reading, decoding, encoding or writing meets, with its place;
    /// [`Cancelled`](ErrorKind::Cancelled) where [`Convert::cancel`] was used. What the writer has written by
    /// then is not an image.
    pub fn run<'w>(&self, source: &dyn Image, writer: Box<dyn ImageWriter + 'w>) -> Result<Progress> {
        let task = self.task(source, writer.as_ref());
        let plan = Plan::Map(Planner::new(source, task.cut, task.rescue));
        let progress = Run::new(self, task, plan, writer.as_ref()).finish()?;
        writer.finish()?;
        Ok(progress)
    }

    /// Converts all that `stream` hands out with `writer`, while it arrives, and finishes it. Where the size of the disk
    /// was not known at first, the writer has been made for a disk that grows, and is told in the end.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_stream<'w>(&self, stream: &mut dyn ImageStream, writer: Box<dyn ImageWriter + 'w>) -> Result<Progress> {
        let grows = stream.size().is_none();
        let nothing = Held::nothing();
        let mut task = self.task(&nothing, writer.as_ref());
        task.copies = false;
        let plan = Plan::Stream(Arrivals::new(stream, task.cut, task.rescue));
        let progress = Run::new(self, task, plan, writer.as_ref()).finish()?;
        if grows {
            writer.set_size(progress.size)?;
        }
        writer.finish()?;
        Ok(progress)
    }

    /// What all jobs from `source` to `writer` have in common.
    fn task<'t>(&'t self, source: &'t dyn Image, writer: &dyn ImageWriter) -> Task<'t> {
        let shape = writer.shape();
        // A compressed unit is encoded as one; what is stored plain may as well be looked at in larger steps.
        let grain = if shape.compression.is_some() { 0 } else { self.zero_grain.unwrap_or(0).min(MAX_ZERO_GRAIN) };
        let unit = shape.unit.max(grain).next_power_of_two();
        let plain = shape.stores_plain && shape.compression.is_none() && shape.order == Order::Random;
        Task {
            source,
            shape,
            cut: Cut {
                unit,
                job_len: JOB_LEN.next_multiple_of(unit),
                absent_from: self.absent_from,
                zeros_as_data: shape.zeros_as_data,
            },
            find_zeros: self.zero_grain.is_some() && !shape.zeros_as_data,
            trust_encoded: self.trust_encoded && self.hasher.is_none(),
            rescue: self.salvage.map(|salvage| Rescue { salvage, cancel: &self.cancel }),
            // What the kernel cannot copy, it does not say what to make of.
            copies: plain
                && self.hasher.is_none()
                && self.salvage.is_none()
                && self.kernel_copy.applies(source, writer.target().as_ref()),
        }
    }
}

/// Where jobs come from.
enum Plan<'a> {
    /// The map of an image.
    Map(Planner<'a>),
    /// What a stream hands out.
    Stream(Arrivals<'a>),
}

impl Plan<'_> {
    /// The next job, or `None` at the end of the disk.
    fn next_job(&mut self) -> Result<Option<Job>> {
        match self {
            Self::Map(planner) => planner.next_job(),
            Self::Stream(arrivals) => arrivals.next_job(),
        }
    }

    /// Guest bytes of the disk, as far as they are known.
    fn size(&self) -> u64 {
        match self {
            Self::Map(planner) => planner.size(),
            Self::Stream(arrivals) => arrivals.size(),
        }
    }
}

/// One conversion as all workers see it.
struct Run<'a> {
    /// How it is to be done.
    options: &'a Convert<'a>,
    /// What each job is about.
    task: Task<'a>,
    /// What the source is converted to.
    writer: &'a dyn ImageWriter,
    /// The jobs that are left.
    plan: Mutex<Plan<'a>>,
    /// Guest bytes of the disk, as far as they are known.
    size: AtomicU64,
    /// The jobs that are on their way.
    pipeline: Mutex<Pipeline>,
    /// Told when something changes for those who wait.
    changed: Condvar,
    /// Keeps to the rate, where there is one.
    rate: Option<Rate>,
    /// Guest bytes that are settled.
    done: AtomicU64,
    /// Bytes that have been stored.
    stored: AtomicU64,
}

impl<'a> Run<'a> {
    /// A conversion that has not begun.
    fn new(options: &'a Convert<'a>, task: Task<'a>, plan: Plan<'a>, writer: &'a dyn ImageWriter) -> Self {
        let mut pipeline = Pipeline::new(task.shape.order, options.threads.get(), options.in_flight, task.cut.job_len);
        if options.hasher.is_some() {
            pipeline.hash_in_order();
        }
        Self {
            options,
            task,
            writer,
            size: AtomicU64::new(plan.size()),
            plan: Mutex::new(plan),
            pipeline: Mutex::new(pipeline),
            changed: Condvar::new(),
            rate: options.rate_limit.map(Rate::new),
            done: AtomicU64::new(0),
            stored: AtomicU64::new(0),
        }
    }

    /// Does it all, but for the writer's end.
    fn finish(self) -> Result<Progress> {
        self.work_on_all_threads();
        let progress = self.progress();
        self.pipeline.into_inner().unwrap_or_else(PoisonError::into_inner).into_result()?;
        Ok(progress)
    }

    /// The next job, or `None` at the end of the disk.
    fn next_job(&self) -> Result<Option<Job>> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let job = plan.next_job()?;
        self.size.store(plan.size(), atomic::Ordering::Relaxed);
        Ok(job)
    }

    /// Works on the caller's thread and on as many more as there shall be, until all have stopped.
    fn work_on_all_threads(&self) {
        std::thread::scope(|scope| {
            for number in 1..self.options.threads.get() {
                let worker = std::thread::Builder::new().name(format!("imgfmt-{number}")).stack_size(WORKER_STACK_LEN);
                // Fewer threads than asked for is slower, not wrong.
                if worker.spawn_scoped(scope, || self.work()).is_err() {
                    break;
                }
            }
            self.work();
        });
    }

    /// Works until nothing is left or something fails.
    fn work(&self) {
        // A panic must not leave the other workers waiting: whatever way this ends without success stops all.
        let mut guard = StopOnPanic { run: self, armed: true };
        if let Err(error) = self.work_until_stopped() {
            self.lock().fail(error);
        }
        self.changed.notify_all();
        guard.armed = false;
    }

    /// Does what the pipeline says until it says stop.
    fn work_until_stopped(&self) -> Result<()> {
        let mut worker = Worker::new(self.task)?;
        loop {
            if self.options.cancel.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "the conversion was cancelled"));
            }
            match self.next() {
                Next::Store(placed) => self.store(placed)?,
                Next::Hash(placed) => self.hash(placed)?,
                Next::Work(buffers) => {
                    match self.next_job()? {
                        None => self.lock().plan_ended(),
                        Some(job) => {
                            let done = worker.work(job, buffers)?;
                            self.lock().worked(done, self.writer);
                        }
                    }
                    self.changed.notify_all();
                }
                Next::Wait => {}
                Next::Stop => return Ok(()),
            }
        }
    }

    /// What to do next. Where that is to wait, waits for a change, but not for long: a cancellation does
    /// not notify.
    fn next(&self) -> Next {
        let mut pipeline = self.lock();
        let next = pipeline.begin();
        if matches!(next, Next::Wait) {
            drop(self.changed.wait_timeout(pipeline, CANCEL_LATENCY));
        }
        next
    }

    /// Hashes a job whose turn it is.
    fn hash(&self, placed: Placed) -> Result<()> {
        if let Some(hasher) = self.options.hasher {
            hashing::feed(hasher, &placed.parts, &placed.buffers, self.task.source)?;
        }
        self.lock().hashed(placed);
        self.changed.notify_all();
        Ok(())
    }

    /// Stores a job whose pieces have their places.
    fn store(&self, placed: Placed) -> Result<()> {
        let mut stored = 0;
        for store in &placed.stores {
            stored += match store.bytes {
                Bytes::Source { source, host } => self.copy(store, source, host)?,
                ref bytes => {
                    let bytes = placed.buffers.slice(bytes);
                    self.writer.store(&store.piece, store.host, bytes)?;
                    bytes.len() as u64
                }
            };
        }
        if let Some(rate) = &self.rate {
            rate.spend(stored, &self.options.cancel);
        }
        self.done.fetch_add(placed.guest_len, atomic::Ordering::Relaxed);
        self.stored.fetch_add(stored, atomic::Ordering::Relaxed);
        self.lock().stored(placed.buffers);
        self.changed.notify_all();
        if let Some(progress) = self.options.progress {
            progress(self.progress());
        }
        Ok(())
    }

    /// Lets the kernel copy a piece, and returns its length.
    fn copy(&self, store: &Store, source: SourceId, from: u64) -> Result<u64> {
        let source = source_of(self.task.source, source)?;
        copy::copy(source.as_ref(), from, self.writer.target().as_ref(), store.host, store.piece.len)?;
        Ok(store.piece.len)
    }

    /// How far it is.
    fn progress(&self) -> Progress {
        Progress {
            done: self.done.load(atomic::Ordering::Relaxed),
            size: self.size.load(atomic::Ordering::Relaxed),
            stored: self.stored.load(atomic::Ordering::Relaxed),
        }
    }

    /// The pipeline. A worker that panics stops all others, so its state is not used again.
    fn lock(&self) -> MutexGuard<'_, Pipeline> {
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops all workers when one of them panics, which only a defect of this program can cause.
struct StopOnPanic<'r, 'a> {
    /// The conversion.
    run: &'r Run<'a>,
    /// Whether the worker has not ended in an orderly way yet.
    armed: bool,
}

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if self.armed {
            self.run.lock().fail(Error::new(ErrorKind::Io, "a worker ended early"));
            self.run.changed.notify_all();
        }
    }
}

/// Guest bytes of a job, unless a unit is larger: enough that a read is worth its call, little enough
/// that a job stays in the cache of its core.
const JOB_LEN: u64 = 1 << 20;
/// Default of [`Convert::in_flight`].
const DEFAULT_IN_FLIGHT: u64 = 64 << 20;
/// Longest runs of zeros that are looked for, whatever [`Convert::zero_grain`] asks: 32 MiB.
const MAX_ZERO_GRAIN: u64 = 32 << 20;
/// Default of [`Convert::zero_grain`]: the block of most file systems.
const DEFAULT_ZERO_GRAIN: u64 = 4096;
/// Stack of a worker. Nothing here recurses with what a file says, but for the layers of a chain.
const WORKER_STACK_LEN: usize = 1 << 20;
/// Longest wait before a look at whether the work was cancelled.
const CANCEL_LATENCY: std::time::Duration = std::time::Duration::from_millis(50);
