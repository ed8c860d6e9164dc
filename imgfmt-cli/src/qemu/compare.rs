//! `qemu-img compare`.

use imgfmt::convert::{Cancel, Convert, Progress};
use imgfmt::{CompareRequest, Comparison};

use super::common::{FORCE_SHARE, IMAGE_OPTS, OBJECT, PROGRESS, QUIET, SOURCE_CACHE, check_source_cache};
use super::fault::{Fault, Outcome, print};
use super::getopt::{Opt, Parsed};
use super::image::Image;
use super::progress::Meter;
use super::setting::Setting;
use super::{Call, Command};

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "compare",
    summary: "Say whether two images hold the same disk",
    operands: "FILE FILE",
    options: &[FIRST_FORMAT, SECOND_FORMAT, IMAGE_OPTS, STRICT, SOURCE_CACHE, PROGRESS, QUIET, FORCE_SHARE, OBJECT],
    run,
};

/// Compares two images.
fn run(call: &Call<'_>) -> Outcome {
    let parsed = &call.parsed;
    let [first, second] = images(call)?;
    let setting = Setting::new(parsed)?;
    let cancel = Cancel::default();
    let meter = Meter::new(parsed);
    let report = |progress: Progress| meter.report(progress);
    let request = CompareRequest {
        first: first.source(),
        second: second.source(),
        strict: parsed.has("strict"),
        threads: Convert::default().threads,
        progress: Some(&report),
        cancel: cancel.clone(),
        access: setting.access(&first),
        second_access: Some(setting.access(&second)),
    };
    call.watch(&cancel)?;
    match imgfmt::compare(&request) {
        Ok(comparison) => {
            let (text, code) = answer(&comparison);
            if code == 0 {
                meter.complete();
            }
            if !parsed.has("quiet") {
                if let Comparison::Differs { offset } = comparison
                    && !parsed.has("strict")
                    && offset >= shorter(&setting, &first, &second)?
                {
                    print(MISMATCH)?;
                }
                print(&text)?;
            }
            Ok(code)
        }
        Err(failed) if failed.while_opening => Err(cannot_open(&first, &second, &failed.error)),
        Err(failed) => Err(Fault::of("Error while reading", &failed.error).with_code(CANNOT_READ)),
    }
}

/// The two images, looked at.
fn images(call: &Call<'_>) -> Result<[Image; 2], Fault> {
    let Call { command, parsed, .. } = call;
    let [first, second] = parsed.operands.as_slice() else {
        return Err(Fault::usage(command, "Expecting two image file names"));
    };
    check_source_cache(parsed, "cache").map_err(|fault| fault.with_code(CANNOT_OPEN))?;
    let first = image(parsed, first, "a-format")?;
    let second = image(parsed, second, "b-format")?;
    Ok([first, second])
}

/// One of them.
fn image(parsed: &Parsed, name: &std::ffi::OsStr, format: &str) -> Result<Image, Fault> {
    let mut image =
        Image::new(name, parsed.get(format), parsed.has("image-opts")).map_err(|fault| fault.with_code(CANNOT_OPEN))?;
    let locking = super::setting::reading(parsed.has("force-share"));
    image.settle(locking).map_err(|fault| fault.with_code(CANNOT_OPEN))?;
    Ok(image)
}

/// Why one of them cannot be opened.
fn cannot_open(first: &Image, second: &Image, error: &imgfmt::Error) -> Fault {
    let is = |image: &Image| error.to_string() == format!("cannot open {}", image.path.display());
    let image = if is(second) { second } else { first };
    image.cannot_open(error).with_code(CANNOT_OPEN)
}

/// The size of the smaller disk.
fn shorter(setting: &Setting, first: &Image, second: &Image) -> Result<u64, Fault> {
    let size = |image: &Image| setting.describe(image, false).map(|info| info.virtual_size);
    Ok(size(first)?.min(size(second)?))
}

/// What is printed, and the exit code.
fn answer(comparison: &Comparison) -> (String, u8) {
    match *comparison {
        Comparison::Identical { sizes_differ: false } => ("Images are identical.\n".to_owned(), 0),
        Comparison::Identical { sizes_differ: true } => (format!("{MISMATCH}Images are identical.\n"), 0),
        Comparison::Differs { offset } => (format!("Content mismatch at offset {offset}!\n"), DIFFERENT),
        Comparison::StrictSize => ("Strict mode: Image size mismatch!\n".to_owned(), DIFFERENT),
        Comparison::StrictStatus { offset } => {
            (format!("Strict mode: Offset {offset} block status mismatch!\n"), DIFFERENT)
        }
    }
}

/// The format of the first image.
const FIRST_FORMAT: Opt =
    Opt { short: Some('f'), long: "a-format", value: "FMT", help: "the format of the first image; probed without it" };
/// The format of the second image.
const SECOND_FORMAT: Opt =
    Opt { short: Some('F'), long: "b-format", value: "FMT", help: "the format of the second image; probed without it" };
/// Sizes and what is stored have to agree.
const STRICT: Opt =
    Opt { short: Some('s'), long: "strict", value: "", help: "sizes and what is stored have to agree, too" };
/// What is said where what is compared goes on behind the end of one disk.
const MISMATCH: &str = "Warning: Image size mismatch!\n";
/// The exit code for images that differ.
const DIFFERENT: u8 = 1;
/// The exit code where one cannot be opened.
const CANNOT_OPEN: u8 = 2;
/// The exit code where one cannot be read.
const CANNOT_READ: u8 = 4;
