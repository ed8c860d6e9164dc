//! `imgfmt convert`.

use std::path::{Path, PathBuf};

use imgfmt::convert::{Cancel, Convert, KernelCopy, Progress};
use imgfmt::options::parse_size;
use imgfmt::{Access, Bitmaps, ConvertRequest, ConvertSummary, Options, ParentName};
use imgfmt_cli::args::{Cache, ConvertArgs, OutputForm};
use serde_json::Value;

use crate::commands::hash::algorithms;
use crate::exit::Exit;
use crate::failure::{self, Failure};
use crate::gate::CliGate;
use crate::pipes::{self, Resolved, is_pipe};
use crate::print;
use crate::probed::require_format;
use crate::progress::{Reporter, complete};
use crate::render::{options, written};
use crate::signals::Signals;
use crate::source::{Sources, snapshot};

/// Converts.
pub(crate) fn run(args: &ConvertArgs, signals: &Signals) -> Result<Exit, Failure> {
    let format = target_format(args);
    let (files, target) = files(&args.files)?;
    let (from_pipe, to_pipe) = (files.iter().any(|file| is_pipe(file)), is_pipe(target));
    let cancel = Cancel::default();
    let Resolved { pipes, input } = pipes::resolve(from_pipe, to_pipe, &cancel)?;
    let real = |file| input.as_deref().filter(|_| is_pipe(file)).unwrap_or(file);
    let sources =
        Sources::new(&args.source, files.iter().map(|file| real(file.as_path())))?.with_target(Some(target))?;
    let mut request = request(args, &sources, target, format)?;
    let gate = gate(args, &sources, &request.backing, target)?;
    let reporter = Reporter::new(&args.progress, args.answer.form, to_pipe)?;
    let report = |progress: Progress| reporter.report(progress);
    request.access = sources.access(&gate, args.snapshot.as_deref().map(snapshot));
    request.engine.progress = reporter.is_shown().then_some(&report);
    request.engine.cancel = cancel;
    signals.cancel(&request.engine.cancel).map_err(|e| Failure::System("cannot watch for signals", e))?;
    if args.in_place {
        let said = args.target_format.as_deref();
        require_format(said, target, &Access { options: &Options::new(), ..request.access.clone() })?;
    }
    let result = imgfmt::convert_piped(&request, pipes);
    let lost = result.as_ref().ok().filter(|_| args.salvage).map(|summary| &summary.lost);
    reporter.finish_without(result.as_ref().ok().map(complete), lost);
    let summary = result.map_err(|error| gate.explain(error))?;
    tell(args, &summary, to_pipe)?;
    print::done(args.answer.form, to_pipe, &object(args, &request, &summary))?;
    Ok(if summary.lost.is_empty() { Exit::Done } else { Exit::Error })
}

/// Tells what is to be told of a conversion that was made.
fn tell(args: &ConvertArgs, summary: &ConvertSummary, to_pipe: bool) -> Result<(), Failure> {
    if let Some(reason) = summary.spooled.as_ref().filter(|_| !args.progress.quiet) {
        failure::note(&format!("the input was kept in a temporary file first, because {reason}"));
    }
    for value in &summary.hashes {
        let line = format!("{}:{}", value.algorithm.name(), value.hex());
        match args.answer.form {
            OutputForm::Json => {}
            // Standard output may be the image itself.
            OutputForm::Human if to_pipe => failure::note(&line),
            OutputForm::Human => print::text(&format!("{line}\n"))?,
        }
    }
    for range in &summary.lost.ranges {
        let read = if summary.lost.is_exact() { "" } else { ", or some of them," };
        failure::note(&format!("guest bytes {}..{}{read} could not be read, and are zero now", range.start, range.end));
    }
    if !summary.lost.is_exact() {
        let (bytes, count) = (summary.lost.bytes, summary.lost.ranges.len());
        failure::note(&format!("these {count} ranges hold the {bytes} bytes that are lost, and some that are not"));
    }
    Ok(())
}

/// What was done, for programs.
fn object(args: &ConvertArgs, request: &ConvertRequest<'_>, summary: &ConvertSummary) -> Value {
    let mut object = written::json(&request.target, &request.target_format, summary);
    if args.verify {
        object.insert("verified".to_owned(), true.into());
    }
    if args.salvage {
        object.insert("lost".to_owned(), written::lost(&summary.lost));
    }
    object.into()
}

/// The format of the target: the one that was named, or that its name ends with, or raw.
pub(crate) fn target_format(args: &ConvertArgs) -> String {
    let by_name =
        || args.files.last().filter(|_| args.files.len() > 1).and_then(|target| imgfmt::format_of_name(target));
    args.target_format.clone().unwrap_or_else(|| by_name().unwrap_or("raw").to_owned())
}

/// What `args` ask for, apart from what needs more than the arguments.
fn request<'a>(
    args: &ConvertArgs,
    sources: &Sources,
    target: &Path,
    target_format: String,
) -> Result<ConvertRequest<'a>, Failure> {
    // Whatever the sources are, a target format that cannot be written is wrong.
    imgfmt::options_of(&target_format)?;
    let grain = zero_grain(&args.sparse_size)?;
    let (options, backing) = target_options(args)?;
    let default = Convert::default();
    Ok(ConvertRequest {
        sources: sources.list.clone(),
        target: target.to_path_buf(),
        target_format,
        options,
        compress: args.compress,
        full_allocation: grain.is_none(),
        backing,
        bitmaps: match (args.bitmaps, args.skip_broken_bitmaps) {
            (false, _) => Bitmaps::Leave,
            (true, false) => Bitmaps::Copy,
            (true, true) => Bitmaps::CopySound,
        },
        in_place: args.in_place,
        target_is_zero: args.target_is_zero,
        hashes: algorithms(&args.hash),
        verify: args.verify,
        rate_limit: args.rate_limit.as_deref().map(rate).transpose()?,
        salvage: args.salvage,
        durable: args.target_cache != Cache::Unsafe,
        access: Access::default(),
        engine: Convert {
            threads: sources.threads(args.threads),
            zero_grain: grain,
            kernel_copy: if args.copy_offload { KernelCopy::Always } else { KernelCopy::Auto },
            ..default
        },
    })
}

/// The sources and the target.
fn files(files: &[PathBuf]) -> Result<(&[PathBuf], &Path), Failure> {
    let Some((target, sources)) = files.split_last().filter(|(_, sources)| !sources.is_empty()) else {
        return Err(Failure::Usage("a source and a target are needed; see imgfmt convert --help".to_owned()));
    };
    if sources.len() > 1 && sources.iter().any(|source| is_pipe(source)) {
        return Err(Failure::Usage("-: standard input is read alone, or say ./- for a file of that name".to_owned()));
    }
    Ok((sources, target))
}

/// The gate for the sources, and for the backing file that the user names.
fn gate(
    args: &ConvertArgs,
    sources: &Sources,
    backing: &Option<ParentName>,
    target: &Path,
) -> Result<CliGate, Failure> {
    let backing = backing.as_ref().map(|backing| target.parent().unwrap_or(Path::new("")).join(&backing.name));
    let files = sources.paths().filter(|path| !is_pipe(path)).chain(backing.as_deref());
    Ok(CliGate::new(files, &args.source.allow, args.source.force_share)?)
}

/// The options of the target, and the file that it builds on.
fn target_options(args: &ConvertArgs) -> Result<(Options, Option<ParentName>), Failure> {
    let (options, mut backing) = options::split_backing(&args.options)?;
    backing.name = backing.name.or_else(|| args.backing.clone());
    backing.format = backing.format.or_else(|| args.backing_format.clone());
    Ok((options, backing.into_parent("say -B FILE")?))
}

/// Bytes a second.
fn rate(text: &str) -> Result<u64, Failure> {
    match parse_size(text).map_err(|e| e.context(format!("-r cannot be {text}")))? {
        0 => Err(Failure::Usage("-r is 0, and nothing would ever be written".to_owned())),
        rate => Ok(rate),
    }
}

/// The runs of zeros to look for; `None` where all zeros are to be written.
fn zero_grain(text: &str) -> Result<Option<u64>, Failure> {
    let size = parse_size(text).map_err(|e| e.context(format!("-S cannot be {text}")))?;
    match size {
        0 => Ok(None),
        _ if size % SECTOR_LEN == 0 && size <= MAX_ZERO_GRAIN => Ok(Some(size)),
        _ => Err(Failure::Usage(format!("-S is {text}, which is not a multiple of {SECTOR_LEN} up to 16M"))),
    }
}

/// Bytes of a sector.
const SECTOR_LEN: u64 = 512;
/// Longest run of zeros that can be asked for: reads are at least that long.
const MAX_ZERO_GRAIN: u64 = 16 << 20;
