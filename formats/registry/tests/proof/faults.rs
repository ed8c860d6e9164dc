//! Errors, full disks, panics and cancellations end in order: with the first error and its place, and without litter.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use imgfmt::conformance::{Disk, Noise};
use imgfmt::convert::{Cancel, Convert, Progress};
use imgfmt::{
    ConvertRequest, CreateRequest, DenyAll, ErrorKind, FORMATS, Image, Limits, MemoryStorage, MemoryTarget, Opener,
    Options, Output, Storage, Target,
};

use super::support::Outcome;
use super::support::disks::{mixed, runs};
use super::support::engine::{Recipe, format};
use super::support::faulty::{Fault, FaultyStorage, FaultyTarget, Gate, Trigger};
use super::support::mount::Mount;
use super::support::say::whole_message;

#[test]
fn a_read_that_fails_is_the_error_wherever_it_is() -> Outcome {
    for (recipe, target) in CONVERSIONS {
        let file = file_of(*recipe, &runs())?;
        for threads in THREADS {
            let place = |at| format!("{recipe} → {target}, {threads} threads, reads from {at} on");
            let mut at = 0;
            loop {
                let reads = Trigger::from(at, Fault::Error(EIO));
                let result = converted(&file, recipe.format, *target, threads, &reads);
                match result.map_err(|e| whole_message(e.as_ref())) {
                    Err(text) => {
                        assert!(text.contains("byte ") && text.contains("os error 5"), "{}: {text}", place(at))
                    }
                    Ok(_) if reads.calls() <= at => break,
                    Ok(_) => return Err(format!("{}: failed, and nobody said so", place(at)).into()),
                }
                at += 1;
            }
            assert!(at > 2, "{recipe} → {target}, {threads} threads: only {at} reads");
        }
    }
    Ok(())
}

#[test]
fn a_read_that_fails_once_is_an_error_or_done_again() -> Outcome {
    for (recipe, target) in CONVERSIONS {
        let file = file_of(*recipe, &runs())?;
        let reads = Trigger::never();
        let whole = converted(&file, recipe.format, *target, 1, &reads)?;
        for at in 0..reads.calls() {
            let once = Trigger::once(at, Fault::Error(EIO));
            // A map may end where tables cannot be read, and be asked for the rest later.
            if let Ok(other) = converted(&file, recipe.format, *target, 2, &once) {
                assert!(other == whole, "{recipe} → {target}: read {at} failed, and the file is another one");
            }
        }
    }
    Ok(())
}

#[test]
fn a_full_disk_is_the_error_and_leaves_nothing() -> Outcome {
    let folder = tempfile::tempdir()?;
    for recipe in [
        Recipe::raw(""),
        Recipe::raw("preallocation=full"),
        Recipe::qcow2("cluster_size=64k"),
        Recipe::qcow2("cluster_size=512"),
        Recipe::qcow2("refcount_bits=64,cluster_size=4k").compressed(),
    ] {
        for threads in THREADS {
            let writes = Trigger::never();
            write_with_fault(folder.path(), recipe, threads, &writes)?;
            std::fs::remove_file(folder.path().join("out"))?;
            let (count, mut at) = (writes.calls(), 0);
            // All of the first and the last writes, and some between.
            while at < count {
                let writes = Trigger::from(at, Fault::Error(ENOSPC));
                let error = write_with_fault(folder.path(), recipe, threads, &writes);
                let text = whole_message(error.expect_err("a full disk is an error").as_ref());
                assert!(text.contains("byte ") && text.contains("os error 28"), "{recipe}, write {at}: {text}");
                assert_eq!(folder.path().read_dir()?.count(), 0, "{recipe}, write {at}");
                at += if at < 20 || at + 20 > count { 1 } else { (count / 20).max(1) };
            }
            assert!(count > 2, "{recipe}: only {count} writes");
        }
    }
    Ok(())
}

#[test]
fn a_file_system_that_runs_full_is_the_error_and_leaves_nothing() -> Outcome {
    let Some(mount) = Mount::memory(1 << 20)? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("disk.raw"), runs().bytes)?;
    let target = mount.path().join("disk");
    std::fs::write(&target, b"what was there before")?;
    for (target_format, options) in
        [("raw", ""), ("raw", "preallocation=falloc"), ("qcow2", ""), ("qcow2", "preallocation=falloc")]
    {
        let mut request = ConvertRequest::new(folder.path().join("disk.raw"), &target, target_format);
        request.options = Options::parse(options)?;
        let error = imgfmt::convert(&request).expect_err("1 MiB is too little");
        assert_eq!(error.kind(), ErrorKind::Io, "{}", whole_message(&error));
        assert!(whole_message(&error).contains("os error 28"), "{}", whole_message(&error));
        assert_eq!(std::fs::read(&target)?, b"what was there before");
        assert_eq!(mount.path().read_dir()?.count(), 1);
    }
    Ok(())
}

#[test]
fn the_first_error_wins() -> Outcome {
    // Reads fail from the third on, and so may be several at once: one error, of a read that was made.
    let file = file_of(Recipe::raw(""), &mixed())?;
    for threads in THREADS {
        let reads = Trigger::from(2, Fault::Error(EIO));
        let source = opened(&file, "raw", &reads)?;
        let error = convert(source.as_ref(), Recipe::qcow2(""), threads, Arc::new(MemoryTarget::new()))
            .expect_err("reads fail");
        assert!(error.to_string().contains("byte ") || whole_message(error.as_ref()).contains("byte "), "{error}");
        // Each of the others may have begun one more.
        assert!(reads.calls() <= 2 + 2 * threads as u64, "{} reads with {threads} threads", reads.calls());
    }
    Ok(())
}

#[test]
fn a_conversion_is_cancelled_midway() -> Outcome {
    let folder = tempfile::tempdir()?;
    let source_folder = tempfile::tempdir()?;
    let source = source_folder.path().join("disk.raw");
    std::fs::write(&source, mixed().bytes)?;
    for threads in THREADS {
        let (cancel, seen) = (Cancel::default(), AtomicU64::new(0));
        let progress = |progress: Progress| {
            seen.fetch_max(progress.done, Ordering::Relaxed);
            if progress.done > progress.size / 4 {
                cancel.cancel();
            }
        };
        let mut request = ConvertRequest::new(&source, folder.path().join("out"), "qcow2");
        request.engine.threads = NonZeroUsize::new(threads).ok_or("no threads")?;
        request.engine.cancel = cancel.clone();
        request.engine.progress = Some(&progress);
        let error = imgfmt::convert(&request).expect_err("it is cancelled");
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_eq!(folder.path().read_dir()?.count(), 0);
        let seen = seen.load(Ordering::Relaxed);
        assert!(seen > 0 && seen < mixed().bytes.len() as u64, "{seen} bytes were done");
    }
    Ok(())
}

#[test]
fn a_cancellation_is_seen_while_others_are_stuck() -> Outcome {
    // All writes are stuck; whoever waits for them still sees the flag, and the end comes with the last write.
    let gate = Gate::default();
    let target =
        Arc::new(FaultyTarget { inner: Arc::new(MemoryTarget::new()), writes: Trigger::blocked(0, true, &gate) });
    let cancel = Cancel::default();
    let source = mixed().image();
    let ended = std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let engine = Convert { cancel: cancel.clone(), ..engine(4) };
            run(&engine, &source, Recipe::raw(""), target).map_err(|e| e.to_string())
        });
        std::thread::sleep(Duration::from_millis(100));
        cancel.cancel();
        std::thread::sleep(Duration::from_millis(100));
        gate.open();
        run.join()
    });
    let error = ended.map_err(|_| "the conversion panicked")?.expect_err("it is cancelled");
    assert!(error.contains("cancelled"), "{error}");
    Ok(())
}

#[test]
fn a_panic_ends_all_threads() -> Outcome {
    let folder = tempfile::tempdir()?;
    for threads in THREADS {
        for at in [0, 1, 9] {
            let writes = Trigger::once(at, Fault::Panic);
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                write_with_fault(folder.path(), Recipe::qcow2(""), threads, &writes).is_ok()
            }));
            assert!(!matches!(ended, Ok(true)), "a panic is no success");
            assert_eq!(folder.path().read_dir()?.count(), 0, "{threads} threads, write {at}");
        }
    }
    Ok(())
}

#[test]
fn little_is_read_ahead_of_a_job_that_is_stuck() -> Outcome {
    let disk = dense(48 << 20);
    let file = file_of(Recipe::raw(""), &disk)?;
    for (threads, in_flight, most) in [(2, 4 << 20, 4 << 20), (4, 8 << 20, 8 << 20), (7, 1 << 20, 7 << 20)] {
        // The first read of the guest's bytes is stuck, and nothing after it can be placed. It is that of one of the
        // first jobs, one for each thread: those before it go through, and others take their room.
        let gate = Gate::default();
        let reads = Trigger::blocked(0, false, &gate);
        let ahead = bytes_ahead(&file, &reads, &Trigger::never(), &gate, &Convert { in_flight, ..engine(threads) })?;
        let before_it = (threads as u64 - 1) << 20;
        assert!(
            ahead <= most + before_it,
            "{threads} threads and {in_flight} bytes in flight: {ahead} bytes were read"
        );
        // All writes are stuck.
        let gate = Gate::default();
        let (reads, writes) = (Trigger::never(), Trigger::blocked(0, true, &gate));
        let ahead = bytes_ahead(&file, &reads, &writes, &gate, &Convert { in_flight, ..engine(threads) })?;
        assert!(ahead <= most, "{threads} threads and {in_flight} bytes in flight: {ahead} bytes were read");
    }
    Ok(())
}

/// Converts raw to raw while something is stuck, and returns how many bytes were read until nothing moved any
/// more. Opens `gate` then, and sees that the rest is done.
fn bytes_ahead(
    file: &[u8],
    reads: &Arc<Trigger>,
    writes: &Arc<Trigger>,
    gate: &Gate,
    engine: &Convert<'_>,
) -> Outcome<u64> {
    let source = opened(file, "raw", reads)?;
    let memory = Arc::new(MemoryTarget::new());
    let target = Arc::new(FaultyTarget { inner: Arc::clone(&memory) as Arc<dyn Target>, writes: Arc::clone(writes) });
    let before = reads.bytes();
    let ahead = std::thread::scope(|scope| -> Outcome<u64> {
        let conversion = scope.spawn(|| run(engine, source.as_ref(), Recipe::raw(""), target));
        let mut last = u64::MAX;
        while last != reads.bytes() {
            last = reads.bytes();
            std::thread::sleep(Duration::from_millis(150));
        }
        gate.open();
        conversion.join().map_err(|_| "the conversion panicked")??;
        Ok(last - before)
    })?;
    assert!(memory.to_vec() == file, "the bytes differ");
    Ok(ahead)
}

/// Converts the image in `file`, whose reads can go wrong, and returns the new file.
fn converted(file: &[u8], name: &str, target: Recipe, threads: usize, reads: &Arc<Trigger>) -> Outcome<Vec<u8>> {
    let memory = Arc::new(MemoryTarget::new());
    let source = opened(file, name, reads)?;
    convert(source.as_ref(), target, threads, Arc::clone(&memory) as Arc<dyn Target>)?;
    Ok(memory.to_vec())
}

/// Writes a disk to the file `out` in `folder`, by way of a target that goes wrong.
fn write_with_fault(folder: &Path, recipe: Recipe, threads: usize, writes: &Arc<Trigger>) -> Outcome {
    let output = Output::create(&folder.join("out"))?;
    let target = Arc::new(FaultyTarget { inner: output.target(), writes: Arc::clone(writes) });
    convert(&runs().image(), recipe, threads, target)?;
    Ok(output.commit(false)?)
}

/// Opens the image in `file`, whose reads can go wrong.
fn opened(file: &[u8], name: &str, reads: &Arc<Trigger>) -> Outcome<Box<dyn Image>> {
    let inner = Arc::new(MemoryStorage::new(file));
    let storage: Arc<dyn Storage> = Arc::new(FaultyStorage { inner, reads: Arc::clone(reads) });
    let limits = Limits::default();
    let opener = Opener::new(FORMATS, &DenyAll, &limits);
    Ok(Box::new(opener.open(storage, None, Some(name))?))
}

/// Converts `source` with so many threads.
fn convert(source: &dyn Image, recipe: Recipe, threads: usize, target: Arc<dyn Target>) -> Outcome {
    run(&engine(threads), source, recipe, target)
}

/// Converts `source` as `engine` says.
fn run(engine: &Convert<'_>, source: &dyn Image, recipe: Recipe, target: Arc<dyn Target>) -> Outcome {
    let options = Options::parse(recipe.options)?;
    let request = CreateRequest { compress: recipe.compress, ..CreateRequest::new(source.size(), &options) };
    engine.run(source, format(recipe.format)?.create(target, &request)?)?;
    Ok(())
}

/// An engine with so many threads.
fn engine(threads: usize) -> Convert<'static> {
    Convert { threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN), ..Convert::default() }
}

/// The file of `disk` by `recipe`, in memory.
fn file_of(recipe: Recipe, disk: &Disk) -> Outcome<Vec<u8>> {
    let target = Arc::new(MemoryTarget::new());
    convert(&disk.image(), recipe, 2, Arc::clone(&target) as Arc<dyn Target>)?;
    Ok(target.to_vec())
}

/// A disk of `size` bytes without a zero.
fn dense(size: usize) -> Disk {
    let mut bytes = vec![0; size];
    Noise(77).fill(&mut bytes);
    Disk { name: "dense", bytes, data: std::iter::once(0..size as u64).collect() }
}

/// What is converted to what while reads fail.
const CONVERSIONS: &[(Recipe, Recipe)] = &[
    (Recipe::raw(""), Recipe::qcow2("")),
    (Recipe::qcow2("cluster_size=4k"), Recipe::raw("")),
    (Recipe::qcow2("").compressed(), Recipe::qcow2("").compressed()),
    (Recipe::qcow2("compression_type=zstd").compressed(), Recipe::qcow2("cluster_size=512")),
];
/// Threads to try.
const THREADS: [usize; 3] = [1, 2, 7];
/// The medium cannot be read.
const EIO: i32 = 5;
/// There is no space left.
const ENOSPC: i32 = 28;
