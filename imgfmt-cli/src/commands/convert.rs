//! `imgfmt convert`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use imgfmt::convert::{Convert, KernelCopy, Progress};
use imgfmt::{Access, ConvertRequest, OptionSpec, Options, ParentName, Source};
use imgfmt_cli::args::{Cache, ConvertArgs, NotYet};

use crate::failure::Failure;
use crate::gate::CliGate;
use crate::progress::Reporter;
use crate::signals::Signals;

/// Converts.
pub(crate) fn run(args: &ConvertArgs, signals: &Signals) -> Result<(), Failure> {
    refuse_what_is_missing(&args.not_yet)?;
    if args.options.iter().any(|text| text == "help" || text == "?") {
        return print_options(&args.target_format);
    }
    let (sources, target) = files(&args.files)?;
    let mut request = request(args, sources, target)?;
    let gate = gate(args, sources, target)?;
    let reporter = Reporter::new(args);
    let report = |progress: Progress| reporter.report(progress);
    request.access = Access { gate: &gate, ..Access::default() };
    request.engine.progress = reporter.is_shown().then_some(&report);
    signals.cancel(&request.engine.cancel).map_err(|e| Failure::System("cannot watch for signals", e))?;
    let result = imgfmt::convert(&request);
    reporter.finish(result.as_ref().ok());
    result.map(|_| ()).map_err(|error| gate.explain(error))
}

/// What `args` ask for, apart from what needs more than the arguments.
fn request<'a>(args: &ConvertArgs, sources: &[PathBuf], target: &Path) -> Result<ConvertRequest<'a>, Failure> {
    // Whatever the sources are, a target format that cannot be written is wrong.
    imgfmt::options_of(&args.target_format)?;
    let grain = zero_grain(&args.sparse_size)?;
    let named = |path: &PathBuf| Source { path: path.clone(), format: args.format.clone() };
    let default = Convert::default();
    Ok(ConvertRequest {
        sources: sources.iter().map(named).collect(),
        target: target.to_path_buf(),
        target_format: args.target_format.clone(),
        options: options(&args.options)?,
        compress: args.compress,
        full_allocation: grain.is_none(),
        backing: args.backing.clone().map(|name| ParentName { name, format: args.backing_format.clone() }),
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
        (args.snapshot.is_some(), "-l: snapshots cannot be converted in this version; apply the snapshot first"),
        (args.rate_limit.is_some(), "-r: rates cannot be limited in this version; limit the process, as with ionice"),
        (args.salvage, "--salvage: damaged sources cannot be salvaged in this version; leave it out to see the damage"),
        (args.bitmaps, "--bitmaps: bitmaps are not copied in this version; leave it out to convert without them"),
        (args.skip_broken_bitmaps, "--skip-broken-bitmaps: bitmaps are not copied in this version; leave it out"),
        (args.image_opts, "--image-opts: not in this version; give the source as a path, and its format with -f"),
        (args.target_image_opts, "--target-image-opts: not in this version; give the target as a path, with -O"),
        (!args.object.is_empty(), "--object: secrets are not known in this version; encrypted images cannot be used"),
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
    if sources.iter().any(|source| source.as_os_str() == "-") {
        return Err(Failure::Usage("- as a source: images cannot be read from a pipe in this version; write it to a file first, or say ./- for a file of that name".to_owned()));
    }
    if target.as_os_str() == "-" {
        return Err(Failure::Usage("- as the target: images cannot be written to a pipe in this version; name a file, or say ./- for a file of that name".to_owned()));
    }
    Ok((sources, target))
}

/// The gate for the sources, and for the backing file that the user names.
fn gate(args: &ConvertArgs, sources: &[PathBuf], target: &Path) -> Result<CliGate, Failure> {
    let backing = args.backing.as_ref().map(|name| target.parent().unwrap_or(Path::new("")).join(name));
    let images = sources.iter().map(PathBuf::as_path).chain(backing.as_deref());
    Ok(CliGate::new(images, &args.allow)?)
}

/// All options that were given.
fn options(texts: &[String]) -> Result<Options, Failure> {
    let mut options = Options::default();
    for text in texts {
        options.extend(Options::parse(text)?);
    }
    if options.names().any(|name| matches!(name, "backing_file" | "backing_fmt")) {
        return Err(Failure::Usage("-o backing_file, -o backing_fmt: say -B FILE and -F FMT".to_owned()));
    }
    Ok(options)
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

/// Prints the options of a format.
fn print_options(format: &str) -> Result<(), Failure> {
    let specs = imgfmt::options_of(format)?;
    let mut text = format!("Options of {format}, for -o NAME=VALUE,...:\n");
    let shown: Vec<_> = specs.iter().map(|spec| (format!("{}={}", spec.name, spec.values), spec)).collect();
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, OptionSpec { default, help, .. }) in shown {
        text.push_str(&format!("  {name:width$}  {help}{}\n", default_note(default)));
    }
    io::stdout().lock().write_all(text.as_bytes()).map_err(|e| Failure::System("cannot print", e))
}

/// How a default is shown behind an option's help.
fn default_note(default: &str) -> String {
    if default.is_empty() { String::new() } else { format!(" (default: {default})") }
}

/// Bytes of a sector.
const SECTOR_LEN: u64 = 512;
/// Longest run of zeros that can be asked for: reads are at least that long.
const MAX_ZERO_GRAIN: u64 = 16 << 20;
