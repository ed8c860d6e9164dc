//! Who else uses an image: what is written stands alone, what is read is not written, and locks are given back however a verb
//! ends.

use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroUsize;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use imgfmt::convert::{Cancel, Progress};
use imgfmt::{
    Access, BenchRequest, BitmapAction, CheckRequest, CommitRequest, CompactRequest, CompareRequest, ConvertRequest,
    CreateImage, DdRequest, Error, ErrorKind, FileMedium, FileStorage, HashAlgorithm, HashRequest, InfoRequest,
    Locking, MeasureRequest, MeasureSource, Options, ParentName, RebaseRequest, Repair, ResizeRequest, SizeChange,
    SnapshotAction,
};

use super::support::{Folder, KINDS, Kind, Outcome, disk, has_qemu_img, qemu_img, whole};

/// A verb: what it is called, and the verb on the image called `disk`.
type Verb = (&'static str, fn(&Folder, Kind, Access<'_>) -> Result<(), Error>);

/// Threads that work.
const THREADS: NonZeroUsize = NonZeroUsize::MIN;
/// Guest bytes of the images.
const SIZE: usize = 2 << 20;

/// Verbs that write to the image called `disk`, which builds on `base` where its format can.
const WRITING: &[Verb] = &[
    ("resize", |folder, kind, access| {
        let mut request = ResizeRequest::new(folder.path("disk"), SizeChange::To(4 << 20));
        (request.source, request.access) = (kind.source(folder, "disk"), access);
        imgfmt::resize(&request).map(drop)
    }),
    ("check -r", |folder, kind, access| {
        let mut request = CheckRequest::new(folder.path("disk"));
        (request.source, request.access, request.repair) = (kind.source(folder, "disk"), access, Some(Repair::All));
        imgfmt::check(&request).map(drop)
    }),
    ("snapshot -c", |folder, kind, access| {
        imgfmt::snapshot(&kind.source(folder, "disk"), &SnapshotAction::Create("one".into()), &access).map(drop)
    }),
    ("bitmap --add", |folder, kind, access| {
        let add = [BitmapAction::Add { granularity: None }];
        imgfmt::change_bitmap(&kind.source(folder, "disk"), "dirty", &add, &access).map(drop)
    }),
    ("amend", |folder, kind, access| {
        imgfmt::amend(&kind.source(folder, "disk"), &Options::parse("lazy_refcounts=on")?, false, &access)
    }),
    ("rebase -u", |folder, kind, access| {
        let mut request = RebaseRequest::new(folder.path("disk"), Some(named("base", kind)));
        (request.source, request.access, request.unchecked) = (kind.source(folder, "disk"), access, true);
        imgfmt::rebase(&request).map(drop)
    }),
    ("rebase", |folder, kind, access| {
        let mut request = RebaseRequest::new(folder.path("disk"), Some(named("base", kind)));
        (request.source, request.access) = (kind.source(folder, "disk"), access);
        imgfmt::rebase(&request).map(drop)
    }),
    ("commit", |folder, kind, access| commit(folder, kind, access, false)),
    ("commit -d", |folder, kind, access| commit(folder, kind, access, true)),
    ("compact", |folder, kind, access| compact(folder, kind, access, false)),
    ("compact --in-place", |folder, kind, access| compact(folder, kind, access, true)),
    ("convert -n", |folder, kind, access| {
        let mut request = ConvertRequest::new(folder.path("source.raw"), folder.path("disk"), kind.format);
        request.sources[0].format = Some("raw".into());
        (request.access, request.in_place) = (access, true);
        imgfmt::convert(&request).map(drop)
    }),
    ("dd -n", |folder, kind, access| {
        let mut request = DdRequest::new(folder.path("source.raw"), folder.path("disk"));
        (request.input.format, request.output_format) = (Some("raw".into()), kind.format.into());
        (request.access, request.in_place) = (access, true);
        imgfmt::dd(&request).map(drop)
    }),
    ("bench -w", |folder, kind, access| {
        let mut request = BenchRequest::new(folder.path("disk"));
        (request.source, request.access) = (kind.source(folder, "disk"), access);
        (request.write, request.count) = (true, 2);
        imgfmt::bench(&request).map(drop)
    }),
];

/// Verbs that read the image called `disk`.
const READING: &[Verb] = &[
    ("info", |folder, kind, access| {
        let request = InfoRequest { format: Some(kind.format), count: true, files: true };
        imgfmt::info(&folder.path("disk"), &request, &access).map(drop)
    }),
    ("check", |folder, kind, access| {
        let mut request = CheckRequest::new(folder.path("disk"));
        (request.source, request.access, request.deep) = (kind.source(folder, "disk"), access, true);
        imgfmt::check(&request).map(drop)
    }),
    ("open", |folder, kind, access| imgfmt::open(&folder.path("disk"), Some(kind.format), &access).map(drop)),
    ("measure", |folder, kind, access| {
        let request = MeasureRequest {
            source: MeasureSource::Image(kind.source(folder, "disk")),
            target_format: "qcow2".into(),
            options: Options::new(),
            access,
        };
        imgfmt::measure(&request).map(drop)
    }),
    ("compare", |folder, kind, access| {
        let request = CompareRequest {
            first: kind.source(folder, "disk"),
            second: KINDS[0].source(folder, "source.raw"),
            strict: false,
            threads: THREADS,
            progress: None,
            cancel: Cancel::default(),
            access,
            second_access: None,
        };
        imgfmt::compare(&request).map(drop).map_err(|e| e.error)
    }),
    ("hash", |folder, kind, access| {
        let request = HashRequest {
            source: kind.source(folder, "disk"),
            algorithms: vec![HashAlgorithm::Blake3],
            threads: THREADS,
            progress: None,
            cancel: Cancel::default(),
            access,
        };
        imgfmt::hash(&request).map(drop)
    }),
    ("convert", |folder, kind, access| {
        let mut request = ConvertRequest::new(folder.path("disk"), folder.path("out"), "raw");
        request.sources[0].format = Some(kind.format.into());
        request.access = access;
        imgfmt::convert(&request).map(drop)
    }),
    ("dd", |folder, kind, access| {
        let mut request = DdRequest::new(folder.path("disk"), folder.path("out"));
        request.input.format = Some(kind.format.into());
        request.access = access;
        imgfmt::dd(&request).map(drop)
    }),
    ("bench", |folder, kind, access| {
        let mut request = BenchRequest::new(folder.path("disk"));
        (request.source, request.access, request.count) = (kind.source(folder, "disk"), access, 2);
        imgfmt::bench(&request).map(drop)
    }),
];

/// A backing file of that name and kind.
fn named(name: &str, kind: Kind) -> ParentName {
    ParentName { name: name.into(), format: Some(kind.format.into()) }
}

/// Commits the image called `disk`.
fn commit(folder: &Folder, kind: Kind, access: Access<'_>, keep: bool) -> Result<(), Error> {
    let mut request = CommitRequest::new(folder.path("disk"));
    (request.source, request.access, request.keep) = (kind.source(folder, "disk"), access, keep);
    imgfmt::commit(&request).map(drop)
}

/// Compacts the image called `disk`.
fn compact(folder: &Folder, kind: Kind, access: Access<'_>, in_place: bool) -> Result<(), Error> {
    let mut request = CompactRequest::new(folder.path("disk"));
    (request.source, request.access, request.in_place) = (kind.source(folder, "disk"), access, in_place);
    imgfmt::compact(&request).map(drop)
}

/// A folder with the disk `source.raw`, and the image `disk` of it, on `base` where the kind has parents.
fn images(kind: Kind) -> Outcome<Folder> {
    let folder = Folder::new()?;
    let bytes = disk(SIZE, 41);
    kind.make(&folder, "base", &bytes)?;
    if Kind::layered().any(|layered| layered.options == kind.options && layered.format == kind.format) {
        kind.make_on(&folder, "disk", "base", None)?;
        kind.write(&folder, "disk", 0, &bytes[1 << 20..])?;
    } else {
        kind.make(&folder, "disk", &bytes)?;
    }
    Ok(folder)
}

/// Images whose verbs are tried: one of each format that can be edited, and such with several files.
fn kinds() -> impl Iterator<Item = Kind> {
    Kind::edited().filter(|kind| !kind.options.contains("cluster_size") && !kind.options.contains("extended"))
}

/// Checks that nobody holds a lock on any file of the folder.
fn assert_free(folder: &Folder, what: &str) -> Outcome {
    for name in folder.names()? {
        let opened = FileMedium::open(&folder.path(&name), Locking::Write);
        assert!(opened.is_ok(), "{what}: {name} is still locked");
    }
    Ok(())
}

/// The kind of the error of a verb, if it has one.
fn kind_of(result: Result<(), Error>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn a_verb_that_writes_is_refused_while_others_read_or_write_and_leaves_no_locks() -> Outcome {
    for kind in kinds() {
        for (name, verb) in WRITING {
            let folder = images(kind)?;
            let what = format!("{name} of {kind:?}");
            let before = std::fs::read(folder.path("disk"))?;
            let mut refused = Vec::new();
            for locking in [Locking::Read, Locking::Write] {
                // A lock of another opening of the file is that of another program.
                let held = FileStorage::open_locked(&folder.path("disk"), locking)?;
                refused.push(kind_of(verb(&folder, kind, folder.access())));
                drop(held);
                assert!(std::fs::read(folder.path("disk"))? == before, "{what}, with {locking:?}: it was written to");
                assert_free(&folder, &what)?;
            }
            let done = verb(&folder, kind, folder.access());
            let able = match done.as_ref().map_err(Error::kind) {
                Ok(()) => true,
                // What the format cannot do.
                Err(ErrorKind::Unsupported | ErrorKind::Invalid) => false,
                Err(_) => return Err(done.map_err(|e| whole(&e)).err().unwrap_or(what).into()),
            };
            assert!(!able || refused == [Some(ErrorKind::Locked); 2], "{what}: {refused:?}");
            assert!(refused.iter().all(Option::is_some), "{what}: {refused:?}");
            assert_free(&folder, &format!("{what}, done: {able}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_verb_that_reads_is_refused_while_others_write_unless_it_does_not_mind() -> Outcome {
    for kind in KINDS.iter().copied().filter(|kind| !kind.options.contains("cluster_size")) {
        let folder = images(kind)?;
        for (name, verb) in READING {
            let what = format!("{name} of {kind:?}");
            let path = folder.path("disk");
            let writer = FileStorage::open_locked(&path, Locking::Write)?;
            assert_eq!(kind_of(verb(&folder, kind, folder.access())), Some(ErrorKind::Locked), "{what}");
            let shared = verb(&folder, kind, Access { force_share: true, ..folder.access() });
            assert_eq!(shared.map_err(|e| whole(&e)), Ok(()), "{what}, forced");
            drop(writer);
            let readers = [(); 2].map(|()| FileStorage::open_locked(&path, Locking::Read));
            assert_eq!(verb(&folder, kind, folder.access()).map_err(|e| whole(&e)), Ok(()), "{what}, with {readers:?}");
            drop(readers);
            assert_free(&folder, &what)?;
        }
    }
    Ok(())
}

#[test]
fn a_backing_file_is_read_with_a_lock_and_not_written_meanwhile() -> Outcome {
    for kind in Kind::layered() {
        let folder = images(kind)?;
        let chain = imgfmt::open(&folder.path("disk"), Some(kind.format), &folder.access())?;
        let refused = FileMedium::open(&folder.path("base"), Locking::Write).map(drop);
        assert_eq!(kind_of(refused), Some(ErrorKind::Locked), "{kind:?}");
        FileStorage::open_locked(&folder.path("base"), Locking::Read)?;
        drop(chain);
        let writer = FileMedium::open(&folder.path("base"), Locking::Write)?;
        for (name, verb) in READING.iter().filter(|(name, _)| !["info", "check"].contains(name)) {
            assert_eq!(kind_of(verb(&folder, kind, folder.access())), Some(ErrorKind::Locked), "{name} of {kind:?}");
        }
        for (name, verb) in WRITING.iter().filter(|(name, _)| name.starts_with("commit") || *name == "rebase") {
            assert_eq!(kind_of(verb(&folder, kind, folder.access())), Some(ErrorKind::Locked), "{name} of {kind:?}");
        }
        drop(writer);
        assert_free(&folder, &format!("{kind:?}"))?;
    }
    Ok(())
}

#[test]
fn while_an_overlay_is_committed_its_base_is_nobodys() -> Outcome {
    for kind in Kind::layered() {
        let folder = images(kind)?;
        let reader = FileStorage::open_locked(&folder.path("base"), Locking::Read)?;
        let before = std::fs::read(folder.path("base"))?;
        assert_eq!(kind_of(commit(&folder, kind, folder.access(), false)), Some(ErrorKind::Locked), "{kind:?}");
        assert!(std::fs::read(folder.path("base"))? == before, "{kind:?}");
        drop(reader);
        let seen = Mutex::new(Vec::new());
        let look = |_: Progress| {
            let kinds = ["disk", "base"].map(|name| {
                FileStorage::open_locked(&folder.path(name), Locking::Read).err().map(|error| error.kind())
            });
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(kinds);
        };
        let mut request = CommitRequest::new(folder.path("disk"));
        (request.source, request.access) = (kind.source(&folder, "disk"), folder.access());
        request.progress = Some(&look);
        imgfmt::commit(&request).map_err(|e| whole(&e))?;
        let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert!(
            !seen.is_empty() && seen.iter().all(|kinds| *kinds == [Some(ErrorKind::Locked); 2]),
            "{kind:?} {seen:?}"
        );
        assert_free(&folder, &format!("{kind:?}"))?;
    }
    Ok(())
}

#[test]
fn what_is_cancelled_gives_its_locks_back() -> Outcome {
    for kind in kinds() {
        let folder = images(kind)?;
        let cancel = Cancel::default();
        cancel.cancel();
        let mut convert = ConvertRequest::new(folder.path("source.raw"), folder.path("disk"), kind.format);
        convert.sources[0].format = Some("raw".into());
        (convert.access, convert.in_place, convert.engine.cancel) = (folder.access(), true, cancel.clone());
        assert_eq!(kind_of(imgfmt::convert(&convert).map(drop)), Some(ErrorKind::Cancelled), "{kind:?}");
        assert_free(&folder, &format!("convert to {kind:?}"))?;
        let mut compact = CompactRequest::new(folder.path("disk"));
        (compact.source, compact.access, compact.in_place) = (kind.source(&folder, "disk"), folder.access(), true);
        compact.cancel = cancel.clone();
        assert_eq!(kind_of(imgfmt::compact(&compact).map(drop)), Some(ErrorKind::Cancelled), "{kind:?}");
        assert_free(&folder, &format!("compact of {kind:?}"))?;
        if imgfmt::open_layer(&folder.path("disk"), Some(kind.format), &folder.access())?.0.parent.is_some() {
            let mut commit = CommitRequest::new(folder.path("disk"));
            (commit.source, commit.access, commit.cancel) =
                (kind.source(&folder, "disk"), folder.access(), cancel.clone());
            assert_eq!(kind_of(imgfmt::commit(&commit).map(drop)), Some(ErrorKind::Cancelled), "{kind:?}");
            assert_free(&folder, &format!("commit of {kind:?}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_new_image_does_not_replace_what_somebody_writes_to() -> Outcome {
    for kind in KINDS {
        let folder = images(*kind)?;
        let writer = FileStorage::open_locked(&folder.path("disk"), Locking::Write)?;
        let mut convert = ConvertRequest::new(folder.path("source.raw"), folder.path("disk"), kind.format);
        convert.options = Options::parse(kind.options)?;
        assert_eq!(kind_of(imgfmt::convert(&convert).map(drop)), Some(ErrorKind::Locked), "{kind:?}");
        let create = CreateImage::new(folder.path("disk"), kind.format, 1 << 20);
        assert_eq!(kind_of(imgfmt::create(&create).map(drop)), Some(ErrorKind::Locked), "{kind:?}");
        drop(writer);
        let reader = FileStorage::open_locked(&folder.path("disk"), Locking::Read)?;
        imgfmt::convert(&convert).map_err(|e| whole(&e))?;
        drop(reader);
        assert_free(&folder, &format!("{kind:?}"))?;
    }
    Ok(())
}

/// A `qemu-io` that holds the image called `name`, to be read alone or written, until it is dropped.
struct Holder(Child);

impl Holder {
    /// Holds it, once the program says that it does.
    fn of(folder: &Folder, kind: Kind, name: &str, read_only: bool) -> Outcome<Self> {
        let format = if kind.format == "vhd" { "vpc" } else { kind.format };
        let mut command = Command::new("qemu-io");
        command.args(read_only.then_some("-r")).args(["-f", format]).arg(folder.path(name));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.as_mut().ok_or("no input")?.write_all(b"length\n")?;
        // It is told what the length is once the image is open.
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.as_mut().ok_or("no output")?);
        while !line.contains("MiB") && output.read_line(&mut line)? > 0 {}
        assert!(line.contains("MiB"), "qemu-io does not hold {name}: {line}");
        Ok(Self(child))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether `qemu-io` is there, which comes with `qemu-img`.
fn has_qemu_io() -> bool {
    has_qemu_img() && Command::new("qemu-io").arg("--version").output().is_ok()
}

#[test]
fn the_other_program_and_this_one_respect_each_other() -> Outcome {
    if !has_qemu_io() {
        return Ok(());
    }
    for kind in kinds().filter(|kind| ["raw", "qcow2"].contains(&kind.format) || kind.options.is_empty()) {
        let folder = Folder::new()?;
        kind.make(&folder, "base", &disk(SIZE, 42))?;
        kind.make(&folder, "disk", &disk(SIZE, 42))?;
        let access = || folder.access();
        {
            let _holder = Holder::of(&folder, kind, "disk", false)?;
            for (name, verb) in READING.iter().chain(WRITING) {
                let refused = verb(&folder, kind, access());
                let told = refused.as_ref().map_err(|e| whole(e)).err().unwrap_or_default();
                assert_eq!(kind_of(refused), Some(ErrorKind::Locked), "{name} of {kind:?}: {told}");
            }
            for (name, verb) in READING {
                let shared = verb(&folder, kind, Access { force_share: true, ..access() });
                assert_eq!(shared.map_err(|e| whole(&e)), Ok(()), "{name} of {kind:?}, forced");
            }
        }
        {
            let _holder = Holder::of(&folder, kind, "disk", true)?;
            for (name, verb) in READING {
                assert_eq!(verb(&folder, kind, access()).map_err(|e| whole(&e)), Ok(()), "{name} of {kind:?}");
            }
            // Who reads a raw image in that program leaves others to write it.
            if kind.format != "raw" {
                assert_eq!(kind_of(compact(&folder, kind, access(), true)), Some(ErrorKind::Locked), "{kind:?}");
            }
        }
        if kind.abilities().check.is_some_and(|check| check.repairs().is_some()) {
            // What was killed has not closed its image.
            let (_, repair) = WRITING.iter().find(|(name, _)| *name == "check -r").ok_or("no repair")?;
            repair(&folder, kind, access()).map_err(|e| whole(&e))?;
        }
        let looked = Mutex::new(Vec::new());
        let look = |_: Progress| {
            // Who reads a raw image in that program does not mind who writes it.
            let raw: &[&str] = &["resize", "-f", "raw", "disk", "2M"];
            let info = qemu_img(&folder, if kind.format == "raw" { raw } else { &["info", "disk"] }).is_ok();
            let forced = qemu_img(&folder, &["info", "-U", "disk"]).is_ok();
            // Formats that it does not check end with an error anyway.
            let check = qemu_img(&folder, &["check", "disk"]).is_ok();
            let forced_check = kind.format != "qcow2" || qemu_img(&folder, &["check", "-U", "disk"]).is_ok();
            looked.lock().unwrap_or_else(PoisonError::into_inner).push((info, forced, check, forced_check));
        };
        let mut convert = ConvertRequest::new(folder.path("source.raw"), folder.path("disk"), kind.format);
        convert.sources[0].format = Some("raw".into());
        (convert.access, convert.in_place) = (access(), true);
        convert.engine.progress = Some(&look);
        imgfmt::convert(&convert).map_err(|e| whole(&e))?;
        let looked = looked.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert!(
            !looked.is_empty() && looked.iter().all(|seen| *seen == (false, true, false, true)),
            "{kind:?} {looked:?}"
        );
        qemu_img(&folder, &["info", "disk"])?;
        assert_free(&folder, &format!("{kind:?}"))?;
    }
    Ok(())
}
