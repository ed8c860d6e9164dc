//! `qemu-img resize`.

use imgfmt::{ErrorKind, Preallocation, ResizeRequest, SizeChange};

use super::common::{FORMAT, IMAGE_OPTS, OBJECT, QUIET};
use super::fault::{Fault, Outcome, print, told};
use super::formats::RAW;
use super::getopt::Opt;
use super::image::Image;
use super::mend::mend_unclean;
use super::report::{error, warning};
use super::setting::Setting;
use super::sizes::{self, MAX_SIZE};
use super::{Call, Command};

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "resize",
    summary: "Change the size of the disk in an image",
    operands: "FILE [+|-]SIZE",
    options: &[QUIET, FORMAT, IMAGE_OPTS, SHRINK, PREALLOCATION, OBJECT],
    run,
};

/// Changes the size.
fn run(call: &Call<'_>) -> Outcome {
    let Call { command, parsed, .. } = call;
    let [name, size] = parsed.operands.as_slice() else {
        return Err(Fault::usage(command, "Expecting image file name and size"));
    };
    let preallocation = preallocation(parsed.get("preallocation").map(|text| text.to_string_lossy()).as_deref())?;
    let text = size.to_string_lossy();
    let change = change(&text)?;
    let mut image = Image::new(name, parsed.get("format"), parsed.has("image-opts"))?;
    let setting = Setting::new(parsed)?;
    image.settle_to_write()?;
    mend_unclean(&image, &setting)?;
    let before = setting.describe(&image, false)?.virtual_size;
    let before = before.checked_next_multiple_of(SECTOR_LEN).unwrap_or(before);
    let asked = target(before, change, image.format_name())?;
    // QEMU counts in sectors, but for what it was asked for, and files without a format.
    let after = if image.format_name() == RAW { asked } else { asked.next_multiple_of(SECTOR_LEN) };
    if asked < before && !parsed.has("shrink") {
        error("Use the --shrink option to perform a shrink operation.");
        warning(SHRINK_WARNING);
        return Err(Fault::silent(1));
    }
    if asked <= before && preallocation != Preallocation::Off {
        return Err(Fault::new("Preallocation can only be used for growing images"));
    }
    let request = ResizeRequest {
        source: image.source(),
        change: SizeChange::To(after),
        shrink: parsed.has("shrink"),
        preallocation,
        access: setting.access(&image),
    };
    imgfmt::resize(&request).map_err(|error| cannot_resize(&image, preallocation, &error))?;
    if !parsed.has("quiet") {
        print("Image resized.\n")?;
    }
    Ok(0)
}

/// The size that the disk is asked to have: it has a next whole sector.
fn target(before: u64, change: SizeChange, format: &str) -> Result<u64, Fault> {
    let after = match change {
        SizeChange::To(size) => Some(size),
        SizeChange::Grow(more) => before.checked_add(more),
        SizeChange::Shrink(less) => Some(before.saturating_sub(less)),
    };
    if format == "qcow2" && after.is_some_and(|size| size % SECTOR_LEN != 0) {
        return Err(Fault::new(format!("The new size must be a multiple of {SECTOR_LEN}")));
    }
    let fits = |size: &u64| size.checked_next_multiple_of(SECTOR_LEN).is_some_and(|whole| whole <= MAX_SIZE);
    let after = after.filter(fits);
    match after.ok_or_else(|| Fault::new("New image size is too large"))? {
        0 => Err(Fault::new("New image size must be positive")),
        size => Ok(size),
    }
}

/// How the size is to change.
fn change(text: &str) -> Result<SizeChange, Fault> {
    let size = |text: &str| {
        sizes::bytes(text).map_err(|_| {
            Fault::new(
                "Parameter 'size' expects a non-negative number below 2^64\nOptional suffix k, M, G, T, P or E means \
                 kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.",
            )
        })
    };
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(more), _) => size(more).map(SizeChange::Grow),
        (_, Some(less)) => size(less).map(SizeChange::Shrink),
        _ => size(text).map(SizeChange::To),
    }
}

/// What is done about space that comes to the disk.
fn preallocation(text: Option<&str>) -> Result<Preallocation, Fault> {
    let Some(text) = text else { return Ok(Preallocation::Off) };
    let found = Preallocation::WORDS.iter().find(|(word, _)| *word == text);
    found.map(|(_, mode)| *mode).ok_or_else(|| Fault::new(format!("Invalid preallocation mode '{text}'")))
}

/// Why the size cannot be changed.
fn cannot_resize(image: &Image, preallocation: Preallocation, error: &imgfmt::Error) -> Fault {
    let word = Preallocation::WORDS.iter().find(|(_, mode)| *mode == preallocation).map_or("", |(word, _)| *word);
    match error.kind() {
        ErrorKind::Locked | ErrorKind::Missing | ErrorKind::Refused => image.cannot_open(error),
        _ if image.is_corrupt() => image.corrupt(),
        ErrorKind::Unsupported | ErrorKind::Invalid if preallocation != Preallocation::Off => {
            Fault::new(format!("Unsupported preallocation mode: {word} ({})", told(error)))
        }
        ErrorKind::Unsupported if told(error).ends_with("a device keeps its size") => {
            Fault::new("Cannot resize device files")
        }
        ErrorKind::Unsupported => Fault::new(format!("Image format driver does not support resize: {}", told(error))),
        _ => Fault::of("Failed to resize image", error),
    }
}

/// Allowing data to be lost.
const SHRINK: Opt =
    Opt { short: None, long: "shrink", value: "", help: "allow the disk to lose what lies behind its new end" };
/// What is done about space that comes to the disk.
const PREALLOCATION: Opt = Opt {
    short: None,
    long: "preallocation",
    value: "off|metadata|falloc|full",
    help: "how space that comes to the disk is allocated",
};
/// What is said of a disk that would lose data.
const SHRINK_WARNING: &str = "Shrinking an image will delete all data beyond the shrunken image's end. Before performing \
                              such an operation, make sure there is no important data there.";
/// Bytes of a sector, in which QEMU counts.
const SECTOR_LEN: u64 = 512;
