//! `qemu-img convert`.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use imgfmt::convert::{Cancel, Convert, KernelCopy, Lost, Progress};
use imgfmt::{Access, Bitmaps, ConvertRequest, ErrorKind, Locking, Options, ParentName};

use super::common::{self, FORCE_SHARE, IMAGE_OPTS, OBJECT, PROGRESS, QUIET};
use super::create::{self, OPTIONS, beside, cannot_create};
use super::fault::{Fault, Outcome, print, shown};
use super::formats::{self, Known, RAW};
use super::getopt::{Opt, Parsed};
use super::image::Image;
use super::options::{NewImage, asks_help};
use super::progress::Meter;
use super::setting::{Setting, reading};
use super::way::Way;
use super::{Call, Command, info, report, rules, sizes, state};
use crate::remote::Remotes;
use crate::render::text::printable;

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "convert",
    summary: "Make an image that has the content of others, in any format",
    operands: "SOURCE... TARGET",
    options: &[
        QUIET,
        PROGRESS,
        Opt {
            short: Some('f'),
            long: "source-format",
            value: "FMT",
            help: "the format of the sources; probed without it",
        },
        IMAGE_OPTS,
        Opt { short: None, long: "source-image-opts", value: "", help: "the same as --image-opts" },
        Opt { short: Some('l'), long: "source-snapshot", value: "SNAPSHOT", help: "convert this internal snapshot" },
        Opt {
            short: Some('T'),
            long: "source-cache",
            value: "CACHE",
            help: "the cache mode of the sources; checked, and ignored",
        },
        Opt { short: Some('O'), long: "target-format", value: "FMT", help: "the format of the target; raw without it" },
        Opt { short: None, long: "target-image-opts", value: "", help: "the target is given as options; needs -n" },
        OPTIONS,
        Opt { short: Some('c'), long: "compress", value: "", help: "compress the target" },
        Opt {
            short: Some('t'),
            long: "target-cache",
            value: "CACHE",
            help: "the cache mode of the target; unsafe without it: nothing is flushed",
        },
        Opt { short: Some('B'), long: "backing", value: "FILE", help: "the file that the target builds on" },
        Opt { short: Some('F'), long: "backing-format", value: "FMT", help: "the format of that file; needed with -B" },
        Opt { short: Some('n'), long: "no-create", value: "", help: "write into the target that is there" },
        Opt { short: None, long: "target-is-zero", value: "", help: "that target reads as zeros" },
        Opt {
            short: Some('S'),
            long: "sparse-size",
            value: "SIZE",
            help: "leave out runs of zeros of this length; 4k without it, 0 for none",
        },
        Opt { short: None, long: "bitmaps", value: "", help: "copy the persistent bitmaps, too" },
        Opt { short: None, long: "skip-broken-bitmaps", value: "", help: "leave out those that cannot be relied on" },
        FORCE_SHARE,
        Opt { short: Some('r'), long: "rate", value: "RATE", help: "bytes a second at most" },
        Opt { short: Some('m'), long: "parallel", value: "NUM", help: "threads, 1 to 16; all processors without it" },
        Opt { short: Some('C'), long: "copy-range-offloading", value: "", help: "let the kernel copy" },
        Opt { short: None, long: "salvage", value: "", help: "go on where the source cannot be read" },
        Opt { short: Some('W'), long: "oob-writes", value: "", help: "known: writes are out of order anyway" },
        OBJECT,
    ],
    run,
};

/// Makes an image out of others.
fn run(call: &Call<'_>) -> Outcome {
    let parsed = &call.parsed;
    let mut plan = Plan::new(parsed)?;
    if asks_help(parsed) {
        return print(&create::options_help(&plan.format_name)?).map(|()| 0);
    }
    let meter = Meter::new(parsed);
    let (sources, target) = plan.images(parsed)?;
    let setting = Setting::new(parsed)?;
    let new = if plan.in_place { NewImage::default() } else { new_image(parsed, &plan)? };
    if sources.len() > 1 && (new.backing.is_some() || parsed.has("backing")) {
        let what = "Having a backing file for the target makes no sense when concatenating multiple input images";
        return Err(Fault::new(what));
    }
    let backing = backing(&new, &target, &plan)?;
    let first = sources.first().ok_or_else(|| Fault::new("Must specify image file name"))?;
    if parsed.has("source-snapshot") && sources.len() > 1 {
        return Err(Fault::new("No support for concatenating multiple snapshot"));
    }
    check_no_source(&sources, &target, &setting, &plan)?;
    if !parsed.has("parallel") {
        plan.engine.threads = plan.remotes.threads();
    }
    let cancel = Cancel::default();
    let report = |progress: Progress| meter.report(progress);
    let snapshot = state::wanted(parsed, "source-snapshot", first, &setting)?;
    let request = ConvertRequest {
        sources: sources.iter().map(Image::source).collect(),
        target: target.clone(),
        target_format: plan.format.library.to_owned(),
        options: if plan.in_place { plan.target_options.clone() } else { new.options },
        compress: parsed.has("compress"),
        full_allocation: plan.grain.is_none(),
        backing,
        bitmaps: plan.bitmaps,
        in_place: plan.in_place,
        target_is_zero: parsed.has("target-is-zero"),
        durable: plan.flushed,
        hashes: Vec::new(),
        verify: false,
        rate_limit: plan.rate_limit,
        salvage: parsed.has("salvage"),
        access: Access { snapshot: snapshot.as_deref(), addresses: &plan.remotes, ..setting.access(first) },
        engine: Convert { progress: Some(&report), cancel: cancel.clone(), ..plan.engine.clone() },
    };
    call.watch(&cancel)?;
    let result = imgfmt::convert(&request);
    meter.finish(result.is_ok());
    match result {
        Ok(summary) => {
            if !parsed.has("quiet") {
                warn_of(&summary.lost);
            }
            Ok(0)
        }
        Err(error) => Err(plan.cannot_convert(&error, &sources, &target)),
    }
}

/// Warns of what could not be read.
fn warn_of(lost: &Lost) {
    for range in &lost.ranges {
        let (start, len) = (range.start, range.end - range.start);
        report::warning(&format!("error while reading offset {start}: {len} bytes cannot be read, and are zeros"));
    }
    if !lost.is_exact() {
        let bytes = lost.bytes;
        report::warning(&format!("some of them could be read: {bytes} bytes are zeros that should not be"));
    }
}

/// What the command line says, but for the names of the images.
struct Plan<'a> {
    /// The name of the target's format, as it was given.
    format_name: String,
    /// The target's format.
    format: &'static Known,
    /// The target's name, as it was given.
    target_name: String,
    /// Whether the target is there and is written into.
    in_place: bool,
    /// The options with which a target is opened that is there.
    target_options: Options,
    /// Runs of zeros to look for; `None` where all zeros are written.
    grain: Option<u64>,
    /// What becomes of bitmaps.
    bitmaps: Bitmaps,
    /// Whether the target is flushed.
    flushed: bool,
    /// Bytes a second at most.
    rate_limit: Option<u64>,
    /// How the work is done.
    engine: Convert<'a>,
    /// What of the images has an address.
    remotes: Remotes,
}

impl Plan<'_> {
    /// What the command line says.
    fn new(parsed: &Parsed) -> Result<Self, Fault> {
        let in_place = parsed.has("no-create");
        check_together(parsed)?;
        common::check_source_cache(parsed, "source-cache")?;
        let flushed = common::is_flushed(parsed, "target-cache", "unsafe")?;
        let grain = match parsed.get("sparse-size") {
            Some(text) => grain(text)?,
            None => Some(DEFAULT_GRAIN),
        };
        let mut engine = Convert { zero_grain: grain, ..Convert::default() };
        if let Some(threads) = parsed.get("parallel") {
            let threads = sizes::within(threads, "number of coroutines", 1..=16)?;
            engine.threads = usize::try_from(threads).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN);
        }
        if parsed.has("copy-range-offloading") {
            engine.kernel_copy = KernelCopy::Always;
        }
        let rate_limit =
            parsed.get("rate").map(|rate| sizes::size(rate, "rate limit")).transpose()?.filter(|rate| *rate > 0);
        let format_name = parsed.get("target-format").map_or(RAW.into(), OsStr::to_string_lossy).into_owned();
        let format =
            formats::named(&format_name).ok_or_else(|| Fault::new(format!("Unknown file format '{format_name}'")))?;
        let bitmaps = match (parsed.has("bitmaps"), parsed.has("skip-broken-bitmaps")) {
            (false, _) => Bitmaps::Leave,
            (true, false) => Bitmaps::Copy,
            (true, true) => Bitmaps::CopySound,
        };
        let target_options = Options::new();
        let remotes = Remotes::default();
        Ok(Self {
            format_name,
            format,
            target_name: String::new(),
            in_place,
            target_options,
            grain,
            bitmaps,
            flushed,
            rate_limit,
            engine,
            remotes,
        })
    }

    /// Checks that the bitmaps of the sources can be copied.
    fn check_bitmaps(&self, sources: &[Image]) -> Result<(), Fault> {
        match sources {
            _ if self.bitmaps == Bitmaps::Leave => Ok(()),
            [source] if source.can_have_bitmaps() => Ok(()),
            [_] => Err(Fault::new("Source lacks bitmap support")),
            _ => Err(Fault::new("Copying bitmaps only possible with single source")),
        }
    }

    /// Checks that the target's format can be what it is to be.
    fn check_format(&self, parsed: &Parsed) -> Result<(), Fault> {
        let name = &self.format_name;
        if parsed.has("compress") && !COMPRESSED.contains(&self.format.name) {
            return Err(Fault::new("Compression not supported for this file format"));
        }
        if self.bitmaps != Bitmaps::Leave && self.format.name != "qcow2" {
            return Err(Fault::new(format!("Format driver '{name}' does not support bitmaps")));
        }
        if imgfmt::options_of(self.format.library).is_err() {
            return Err(Fault::new(format!("Format driver '{name}' does not support image creation")));
        }
        Ok(())
    }

    /// The sources and the target, looked at.
    fn images(&mut self, parsed: &Parsed) -> Result<(Vec<Image>, PathBuf), Fault> {
        let (target, names) = match parsed.operands.split_last() {
            Some((target, names)) if !names.is_empty() => (target, names),
            _ => return Err(Fault::new("Must specify image file name")),
        };
        let image_opts = parsed.has("image-opts") || parsed.has("source-image-opts");
        let mut sources = Vec::new();
        for name in names {
            let mut source = Image::new(name, parsed.get("source-format"), image_opts)?;
            source.settle(reading(parsed.has("force-share")))?;
            self.remotes.extend(&source.remotes);
            sources.push(source);
        }
        let is_other = |source: &&Image| {
            let (first, source) = (&sources[0], *source);
            source.options != first.options || source.part != first.part || source.alone != first.alone
        };
        if let Some(other) = sources.iter().skip(1).find(is_other) {
            let what = "several sources with different options cannot be put together";
            return Err(Fault::new(format!("Could not open '{}': {what}", other.given)));
        }
        self.check_bitmaps(&sources)?;
        if !parsed.has("target-image-opts") {
            self.check_format(parsed)?;
        }
        let path = self.target(target, parsed)?;
        if self.in_place {
            self.check_size(&sources, &path, parsed)?;
        }
        Ok((sources, path))
    }

    /// The target. One that is written into has to be there, and to be what it is said to be.
    fn target(&mut self, name: &OsString, parsed: &Parsed) -> Result<PathBuf, Fault> {
        if parsed.has("target-image-opts") {
            let mut image = Image::new(name, parsed.get("target-format"), true)?;
            image.settle_to_write()?;
            self.target_name = printable(&image.path.to_string_lossy()).into_owned();
            let path = self.specified_target(image)?;
            self.check_format(parsed)?;
            return Ok(path);
        }
        let mut place = create::place(name)?;
        place.way = Way::driver(&self.format_name).or(place.way);
        self.target_name = printable(&place.given).into_owned();
        self.remotes.extend(&place.remotes);
        if self.in_place {
            place.format = Some(self.format);
            place.settle(Locking::Ignore)?;
        } else if let Some(why) = place.way.and_then(|way| way.refusal_of_new(&place.path)) {
            return Err(Fault::new(why).about(&self.wrong()));
        }
        Ok(place.path)
    }

    /// The file of a target that is given as options: its format is the target's, and what they say besides is how to open it. No
    /// option is left out that says where its bytes are to be written.
    fn specified_target(&mut self, image: Image) -> Result<PathBuf, Fault> {
        let other = image.part.map(|_| "offset");
        if let Some(name) = other.or((!image.backing.is_empty()).then_some("backing")) {
            let what = format!("'{name}' is not supported for a target");
            return Err(Fault::new(format!("Could not open '{}': {what}", image.given)));
        }
        self.format = image.format.unwrap_or(self.format);
        self.format_name = self.format.name.to_owned();
        self.target_options = image.options;
        self.remotes.extend(&image.remotes);
        Ok(image.path)
    }

    /// Checks that the target that is written into has room for the sources.
    fn check_size(&self, sources: &[Image], target: &Path, parsed: &Parsed) -> Result<(), Fault> {
        let setting = Setting::new(parsed)?;
        let mut wanted: u64 = 0;
        for source in sources {
            wanted = wanted.saturating_add(setting.describe(source, false)?.virtual_size);
        }
        let options = self.target_options.clone();
        let remotes = self.remotes.clone();
        let there = Image { format: Some(self.format), options, remotes, ..Image::file(target) };
        let there = setting.describe(&there, false)?;
        if there.virtual_size < wanted {
            return Err(Fault::new("output file is smaller than input file"));
        }
        if parsed.has("target-is-zero") && parsed.has("backing") {
            return Err(Fault::new("Cannot use --target-is-zero when the destination image has a backing file"));
        }
        Ok(())
    }

    /// What went wrong, as it is said in front of why.
    fn wrong(&self) -> String {
        format!("{}: error while converting {}", self.target_name, self.format_name)
    }

    /// Why it went wrong.
    fn cannot_convert(&self, error: &imgfmt::Error, sources: &[Image], target: &Path) -> Fault {
        let text = super::fault::told(error);
        if error.kind() == ErrorKind::Invalid && text.contains("there is no snapshot") {
            return state::not_found(&text);
        }
        let opened =
            sources.iter().find(|source| error.to_string() == format!("cannot open {}", source.path.display()));
        match opened {
            Some(source) => source.cannot_open(error),
            None => {
                let name = format!("error while converting {}", self.format_name);
                cannot_create(&self.target_name, target, error).within(&self.target_name, &name)
            }
        }
    }
}

/// Refuses a target that is one of the files that are read, in the words in which QEMU finds its own lock on it.
fn check_no_source(sources: &[Image], target: &Path, setting: &Setting, plan: &Plan<'_>) -> Result<(), Fault> {
    let Ok(real) = target.canonicalize() else { return Ok(()) };
    for source in sources {
        if info::files(source, setting).contains(&real) {
            let fault = Fault::new(format!("{}: Failed to get \"write\" lock", plan.wrong()));
            return Err(fault.and(&format!("Is another process using the image [{}]?", shown(target))));
        }
    }
    Ok(())
}

/// What the command line says of a new target.
fn new_image(parsed: &Parsed, plan: &Plan<'_>) -> Result<NewImage, Fault> {
    let new = NewImage::new(parsed, plan.format)?;
    if new.backing.is_some() && formats::has_no_backing(plan.format) {
        return Err(Fault::new(format!("Backing file not supported for file format '{}'", plan.format_name)));
    }
    rules::check(&new, plan.format).map(|()| new).map_err(|fault| fault.about(&plan.wrong()))
}

/// Refuses options that do not go together.
fn check_together(parsed: &Parsed) -> Result<(), Fault> {
    let has = |name: &str| parsed.has(name);
    let wrong = [
        (has("skip-broken-bitmaps") && !has("bitmaps"), "Use of --skip-broken-bitmaps requires --bitmaps"),
        (has("no-create") && has("options"), "-o has no effect when skipping image creation"),
        (has("target-image-opts") && !has("no-create"), "--target-image-opts requires use of -n flag"),
        (has("target-is-zero") && !has("no-create"), "--target-is-zero requires use of -n flag"),
        (has("copy-range-offloading") && has("sparse-size"), "Cannot enable copy offloading when -S is used"),
        (has("copy-range-offloading") && has("compress"), "Cannot enable copy offloading when -c is used"),
        (has("copy-range-offloading") && has("salvage"), "Cannot use copy offloading in salvaging mode"),
    ];
    match wrong.iter().find(|(holds, _)| *holds) {
        Some((_, what)) => Err(Fault::new(what)),
        None => Ok(()),
    }
}

/// The file that the target builds on, whose format has to be named.
fn backing(new: &NewImage, target: &Path, plan: &Plan<'_>) -> Result<Option<ParentName>, Fault> {
    let Some(name) = &new.backing else {
        let what = format!("{}: Backing format cannot be used without backing file", plan.wrong());
        return if new.backing_format.is_some() { Err(Fault::new(what)) } else { Ok(None) };
    };
    let format = new
        .backing_format
        .as_deref()
        .ok_or_else(|| Fault::new("Use of backing file requires explicit backing format"))?;
    let known = formats::named(format).ok_or_else(|| Fault::new(format!("Unknown backing file format '{format}'")))?;
    Image { format: Some(known), ..Image::file(&beside(target, name)) }.settle(Locking::Ignore)?;
    Ok(Some(ParentName { name: name.clone(), format: Some(format.to_owned()) }))
}

/// The runs of zeros to look for; `None` where all zeros are to be written.
fn grain(text: &OsStr) -> Result<Option<u64>, Fault> {
    match sizes::size(text, "buffer size for sparse output")? {
        0 => Ok(None),
        size if size % SECTOR_LEN == 0 && size <= MAX_GRAIN => Ok(Some(size)),
        _ => Err(Fault::new(format!(
            "Invalid buffer size for sparse output specified. Valid sizes are multiples of {SECTOR_LEN} up to {MAX_GRAIN}. \
             Select 0 to disable sparse detection (fully allocates output)."
        ))),
    }
}

/// Formats that can be compressed.
const COMPRESSED: [&str; 2] = ["qcow2", "vmdk"];
/// Bytes of a sector.
const SECTOR_LEN: u64 = 512;
/// Longest run of zeros that can be asked for.
const MAX_GRAIN: u64 = 16 << 20;
/// Run of zeros that is looked for by default.
const DEFAULT_GRAIN: u64 = 4 << 10;
