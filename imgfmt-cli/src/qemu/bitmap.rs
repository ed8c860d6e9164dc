//! `qemu-img bitmap`.

use std::ffi::OsStr;

use imgfmt::{BitmapAction, ErrorKind, Locking, Source};

use super::common::{FORMAT, IMAGE_OPTS, OBJECT};
use super::fault::{Fault, Outcome, told};
use super::getopt::{Opt, Parsed};
use super::image::Image;
use super::mend::mend_unclean;
use super::setting::Setting;
use super::{Call, Command, sizes};

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "bitmap",
    summary: "Change the persistent bitmaps of an image",
    operands: "FILE BITMAP",
    options: &[
        FORMAT,
        IMAGE_OPTS,
        Opt { short: None, long: "add", value: "", help: "make the bitmap, and record writes from now on" },
        Opt { short: Some('g'), long: "granularity", value: "SIZE", help: "bytes that one bit of it stands for" },
        Opt { short: None, long: "remove", value: "", help: "remove the bitmap" },
        Opt { short: None, long: "clear", value: "", help: "set no bit of it" },
        Opt { short: None, long: "enable", value: "", help: "record writes from now on" },
        Opt { short: None, long: "disable", value: "", help: "record no writes from now on" },
        Opt { short: None, long: "merge", value: "BITMAP", help: "set what is set in another bitmap, too" },
        Opt { short: Some('b'), long: "source-file", value: "FILE", help: "the image that has the other bitmap" },
        Opt { short: Some('F'), long: "source-format", value: "FMT", help: "the format of that image" },
        OBJECT,
    ],
    run,
};

/// Changes a bitmap.
fn run(call: &Call<'_>) -> Outcome {
    let parsed = &call.parsed;
    let steps: Vec<_> = parsed.in_order().filter(|(name, _)| ACTIONS.contains(name)).collect();
    if steps.is_empty() {
        let what = "Need at least one of --add, --remove, --clear, --enable, --disable, or --merge";
        return Err(Fault::new(what));
    }
    let granularity = parsed.get("granularity").map(|text| sizes::size(text, "granularity")).transpose()?;
    if parsed.has("granularity") && !parsed.has("add") {
        return Err(Fault::new("granularity only supported with --add"));
    }
    if parsed.has("source-file") && !parsed.has("merge") {
        return Err(Fault::new("Merge bitmap source file only supported with --merge"));
    }
    if parsed.has("source-format") && !parsed.has("source-file") {
        return Err(Fault::new("-F only supported with -b"));
    }
    let [name, bitmap] = parsed.operands.as_slice() else {
        return Err(Fault::new("Expecting filename and bitmap name"));
    };
    let mut image = Image::new(name, parsed.get("format"), parsed.has("image-opts"))?;
    let setting = Setting::new(parsed)?;
    image.settle_to_write()?;
    mend_unclean(&image, &setting)?;
    let other = other(parsed, &image)?;
    let bitmap = bitmap.to_string_lossy();
    if granularity.is_some_and(|bytes| bytes > 0 && !(bytes.is_power_of_two() && bytes >= LEAST_GRANULARITY)) {
        let what = format!("Granularity must be power of 2 and at least {LEAST_GRANULARITY}");
        return Err(Fault::new(format!("Operation add on bitmap {bitmap} failed: {what}")));
    }
    for (step, value) in steps {
        let action = action(step, value, granularity, &other);
        imgfmt::change_bitmap(&image.source(), &bitmap, &[action], &setting.access(&image))
            .map_err(|error| cannot(&image, (step, value), &bitmap, &error))?;
    }
    Ok(0)
}

/// The image that has the bitmap to merge.
fn other(parsed: &Parsed, image: &Image) -> Result<Source, Fault> {
    let Some(name) = parsed.get("source-file") else { return Ok(image.source()) };
    let mut other = Image::new(name, parsed.get("source-format"), false)?;
    other.settle(Locking::Ignore)?;
    Ok(other.source())
}

/// One step.
fn action(step: &str, value: &OsStr, granularity: Option<u64>, other: &Source) -> BitmapAction {
    match step {
        "add" => BitmapAction::Add { granularity: granularity.filter(|bytes| *bytes > 0) },
        "remove" => BitmapAction::Remove,
        "clear" => BitmapAction::Clear,
        "enable" => BitmapAction::Enable,
        "disable" => BitmapAction::Disable,
        _ => BitmapAction::Merge { source: other.clone(), name: value.to_string_lossy().into_owned() },
    }
}

/// Why a step cannot be done.
fn cannot(image: &Image, (step, value): (&str, &OsStr), bitmap: &str, error: &imgfmt::Error) -> Fault {
    let what = format!("Operation {step} on bitmap {bitmap} failed");
    let told = told(error);
    match error.kind() {
        ErrorKind::Locked | ErrorKind::Refused => image.cannot_open(error),
        _ if image.is_corrupt() => image.corrupt(),
        ErrorKind::Missing => {
            let other = value.to_string_lossy();
            let missing = if told.ends_with(&format!("has no bitmap {other}")) { &other } else { bitmap };
            Fault::new(format!("{what}: Dirty bitmap '{missing}' not found ({told})"))
        }
        ErrorKind::Invalid if told.ends_with(&format!("there is a bitmap called {bitmap} already")) => {
            Fault::new(format!("{what}: Bitmap already exists: {bitmap}"))
        }
        ErrorKind::Unsupported => Fault::of(format!("{what}: Operation not supported"), error),
        _ => Fault::of(what, error),
    }
}

/// The options that say what is to be done.
const ACTIONS: [&str; 6] = ["add", "remove", "clear", "enable", "disable", "merge"];
/// The least that a bit may stand for.
const LEAST_GRANULARITY: u64 = 512;
