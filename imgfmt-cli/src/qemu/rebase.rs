//! `qemu-img rebase`.

use imgfmt::convert::{Cancel, Progress};
use imgfmt::{ErrorKind, Locking, ParentName, RebaseRequest};

use super::common::{self, CACHE, FORCE_SHARE, FORMAT, IMAGE_OPTS, OBJECT, PROGRESS, QUIET, only};
use super::create::beside;
use super::fault::{Fault, Outcome, shown};
use super::formats;
use super::getopt::{Opt, Parsed};
use super::image::Image;
use super::mend::mend_unclean;
use super::options::stored_name;
use super::progress::Meter;
use super::setting::Setting;
use super::{Call, Command};

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "rebase",
    summary: "Have an image build on another file, or on none",
    operands: "FILE",
    options: &[
        QUIET,
        PROGRESS,
        FORMAT,
        IMAGE_OPTS,
        CACHE,
        Opt {
            short: Some('b'),
            long: "backing",
            value: "FILE",
            help: "the file that the image shall build on; \"\" for none",
        },
        Opt { short: Some('F'), long: "backing-format", value: "FMT", help: "the format of that file; needed with -b" },
        Opt {
            short: Some('T'),
            long: "backing-cache",
            value: "CACHE",
            help: "the cache mode of that file; checked, and ignored",
        },
        Opt {
            short: Some('u'),
            long: "backing-unsafe",
            value: "",
            help: "change the name alone, and look at no other file",
        },
        Opt { short: Some('c'), long: "compress", value: "", help: "compress what is copied into the image" },
        FORCE_SHARE,
        OBJECT,
    ],
    run,
};

/// Has an image build on another file.
fn run(call: &Call<'_>) -> Outcome {
    let Call { command, parsed, .. } = call;
    let name = only(command, parsed)?;
    let unchecked = parsed.has("backing-unsafe");
    if !unchecked && !parsed.has("backing") {
        return Err(Fault::usage(command, "Must specify backing file (-b) or use unsafe mode (-u)"));
    }
    common::is_flushed(parsed, "cache", "writeback")?;
    common::check_source_cache(parsed, "backing-cache")?;
    let mut image = Image::new(name, parsed.get("format"), parsed.has("image-opts"))?;
    let setting = Setting::new(parsed)?;
    image.settle_to_write()?;
    mend_unclean(&image, &setting)?;
    let backing = backing(parsed, &image, unchecked)?;
    let meter = Meter::new(parsed);
    let report = |progress: Progress| meter.report(progress);
    let cancel = Cancel::default();
    let shown_as = backing.as_ref().map(|backing| shown(&backing.name)).unwrap_or_default();
    let request = RebaseRequest {
        source: image.source(),
        backing,
        unchecked,
        compress: parsed.has("compress"),
        progress: Some(&report),
        cancel: cancel.clone(),
        access: setting.access(&image),
    };
    call.watch(&cancel)?;
    let result = imgfmt::rebase(&request);
    meter.finish(result.is_ok());
    result.map_err(|error| cannot_rebase(&image, &shown_as, &error))?;
    Ok(0)
}

/// The file that the image shall build on, whose format has to be named.
fn backing(parsed: &Parsed, image: &Image, unchecked: bool) -> Result<Option<ParentName>, Fault> {
    let format = parsed.get("backing-format").map(|format| format.to_string_lossy().into_owned());
    if let Some(format) = format.as_deref().filter(|format| formats::named(format).is_none()) {
        return Err(Fault::new(format!("Invalid format name: '{format}'")));
    }
    let Some(name) = parsed.get("backing").filter(|name| !name.is_empty()) else { return Ok(None) };
    let name = stored_name(name, unchecked)?;
    let cannot = |what: &str| Fault::new(format!("Could not change the backing file to '{}': {what}", shown(&name)));
    if !unchecked {
        let known = format.as_deref().and_then(formats::named);
        Image { format: known, ..Image::file(&beside(&image.path, &name)) }
            .settle(Locking::Ignore)
            .map_err(|fault| fault.instead("Could not open ", "Could not open new backing file "))?;
    }
    let format = format.ok_or_else(|| cannot("backing format must be specified"))?;
    Ok(Some(ParentName { name, format: Some(format) }))
}

/// Why it cannot be done.
fn cannot_rebase(image: &Image, name: &str, error: &imgfmt::Error) -> Fault {
    match error.kind() {
        ErrorKind::Locked | ErrorKind::Missing | ErrorKind::Refused => image.cannot_open(error),
        _ if image.is_corrupt() => image.corrupt(),
        ErrorKind::Unsupported | ErrorKind::Invalid => {
            let what = format!("Could not change the backing file to '{name}': Operation not supported");
            Fault::of(what, error)
        }
        _ => Fault::of(format!("Could not change the backing file to '{name}'"), error),
    }
}
