//! `imgfmt convert`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use imgfmt::convert::{Cancel, Convert, KernelCopy, Progress};
use imgfmt::{Access, Bitmaps, ConvertRequest, OptionSpec, Options, ParentName};
use imgfmt_cli::args::{Cache, ConvertArgs, NotYet};

use crate::failure::{self, Failure};
use crate::gate::CliGate;
use crate::pipes::{self, Resolved, is_pipe};
use crate::progress::Reporter;
use crate::signals::Signals;
use crate::source::{Sources, snapshot};

/// Converts.
pub(crate) fn run(args: &ConvertArgs, signals: &Signals) -> Result<(), Failure> {
    refuse_what_is_missing(&args.not_yet)?;
    let format = target_format(args);
    if let Some(help) = asked_help(args, &format)? {
        return print(&help);
    }
    let (files, target) = files(&args.files)?;
    let (from_pipe, to_pipe) = (files.iter().any(|file| is_pipe(file)), is_pipe(target));
    let cancel = Cancel::default();
    let Resolved { pipes, input } = pipes::resolve(from_pipe, to_pipe, &cancel)?;
    let real = |file| input.as_deref().filter(|_| is_pipe(file)).unwrap_or(file);
    let sources = Sources::new(&args.source, files.iter().map(|file| real(file.as_path())))?;
    let mut request = request(args, &sources, target, format)?;
    let gate = gate(args, &sources, &request.backing, target)?;
    let reporter = Reporter::new(args, to_pipe)?;
    let report = |progress: Progress| reporter.report(progress);
    request.access = sources.access(&gate, args.snapshot.as_deref().map(snapshot));
    request.engine.progress = reporter.is_shown().then_some(&report);
    request.engine.cancel = cancel;
    signals.cancel(&request.engine.cancel).map_err(|e| Failure::System("cannot watch for signals", e))?;
    let result = imgfmt::convert_piped(&request, pipes);
    reporter.finish(result.as_ref().ok());
    let summary = result.map_err(|error| gate.explain(error))?;
    if let Some(reason) = summary.spooled.filter(|_| !args.quiet) {
        failure::note(&format!("the input was kept in a temporary file first, because {reason}"));
    }
    Ok(())
}

/// The format of the target: the one that was named, or that its name ends with, or raw.
fn target_format(args: &ConvertArgs) -> String {
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
    let (options, backing) = options(args)?;
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
        durable: args.target_cache != Cache::Unsafe,
        access: Access::default(),
        engine: Convert {
            threads: args.threads.unwrap_or(default.threads),
            zero_grain: grain,
            kernel_copy: if args.copy_offload { KernelCopy::Always } else { KernelCopy::Auto },
            ..default
        },
    })
}

/// Says no to what this version does not have, and what to do instead.
fn refuse_what_is_missing(args: &NotYet) -> Result<(), Failure> {
    let missing = [
        (args.rate_limit.is_some(), "-r: rates cannot be limited in this version; limit the process, as with ionice"),
        (args.salvage, "--salvage: damaged sources cannot be salvaged in this version; leave it out to see the damage"),
        (args.target_image_opts, "--target-image-opts: not in this version; give the target as a path, with -O"),
    ];
    match missing.iter().find(|(given, _)| *given) {
        Some((_, what)) => Err(Failure::Usage((*what).to_owned())),
        None => Ok(()),
    }
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
    Ok(CliGate::new(files, &args.source.allow)?)
}

/// The options of the target, and the file that it builds on.
fn options(args: &ConvertArgs) -> Result<(Options, Option<ParentName>), Failure> {
    let mut given = Options::default();
    for text in &args.options {
        given.extend(Options::parse(text)?);
    }
    let mut options = Options::default();
    let (mut name, mut format) = (args.backing.clone(), args.backing_format.clone());
    for key in given.names() {
        let value = given.get(key).unwrap_or_default();
        match key {
            "backing_file" => name = Some(PathBuf::from(value)),
            "backing_fmt" => format = Some(value.to_owned()),
            _ => options.set(key, value),
        }
    }
    if name.is_none() && format.is_some() {
        return Err(Failure::Usage("a format of a backing file is given, and no backing file; say -B FILE".to_owned()));
    }
    Ok((options, name.map(|name| ParentName { name, format })))
}

/// The runs of zeros to look for; `None` where all zeros are to be written.
fn zero_grain(text: &str) -> Result<Option<u64>, Failure> {
    let size = imgfmt::options::parse_size(text).map_err(|e| e.context(format!("-S cannot be {text}")))?;
    match size {
        0 => Ok(None),
        _ if size % SECTOR_LEN == 0 && size <= MAX_ZERO_GRAIN => Ok(Some(size)),
        _ => Err(Failure::Usage(format!("-S is {text}, which is not a multiple of {SECTOR_LEN} up to 16M"))),
    }
}

/// The list of options that was asked for in place of options, if one was.
fn asked_help(args: &ConvertArgs, target_format: &str) -> Result<Option<String>, Failure> {
    let is_help = |texts: &[String]| texts.iter().any(|text| text == "help" || text == "?");
    if is_help(&args.options) {
        return Ok(Some(list(&format!("Options of {target_format}, for -o"), imgfmt::options_of(target_format)?)));
    }
    if is_help(&args.source.open_options) {
        let format = args.source.format.as_deref().unwrap_or("raw");
        let heading = format!("Options for opening {format}, for --open-options");
        return Ok(Some(list(&heading, imgfmt::open_options_of(format)?)));
    }
    Ok(None)
}

/// The lines that list options.
fn list(heading: &str, specs: &[OptionSpec]) -> String {
    let mut text = format!("{heading} NAME=VALUE,...:\n");
    let shown: Vec<_> = specs.iter().map(|spec| (format!("{}={}", spec.name, spec.values), spec)).collect();
    let short = |name: &String| name.len() <= MAX_NAME_WIDTH;
    let width = shown.iter().filter(|(name, _)| short(name)).map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, OptionSpec { default, help, .. }) in shown {
        // A list of many values has a line of its own.
        let gap = if short(&name) { "  ".to_owned() } else { format!("\n{:1$}", "", width + 4) };
        text.push_str(&format!("  {name:width$}{gap}{help}{}\n", default_note(default)));
    }
    text
}

/// Prints an answer.
fn print(text: &str) -> Result<(), Failure> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(|e| Failure::System("cannot print", e))
}

/// How a default is shown behind an option's help.
fn default_note(default: &str) -> String {
    if default.is_empty() { String::new() } else { format!(" (default: {default})") }
}

/// Columns of an option and its values that the help stands beside.
const MAX_NAME_WIDTH: usize = 40;
/// Bytes of a sector.
const SECTOR_LEN: u64 = 512;
/// Longest run of zeros that can be asked for: reads are at least that long.
const MAX_ZERO_GRAIN: u64 = 16 << 20;
