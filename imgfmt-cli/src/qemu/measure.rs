//! `qemu-img measure`.

use std::ffi::OsStr;

use imgfmt::{Access, ErrorKind, MeasureRequest, MeasureSource, Measured};
use serde_json::{Map, Value};

use super::common::{FORCE_SHARE, FORMAT, Form, IMAGE_OPTS, OBJECT, OUTPUT, form};
use super::create::{OPTIONS, options_help};
use super::fault::{Fault, Outcome, print, told};
use super::formats::{self, Known, RAW};
use super::getopt::{Opt, Parsed};
use super::image::Image;
use super::options::{self, NewImage, asks_help, check_lists};
use super::setting::Setting;
use super::{Call, Command, json, rules, sizes, state};
use crate::render::text::printable;

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "measure",
    summary: "Say how much space a new image would take",
    operands: "[FILE]",
    options: &[FORMAT, IMAGE_OPTS, SNAPSHOT, TARGET_FORMAT, OPTIONS, SIZE, OUTPUT, FORCE_SHARE, OBJECT],
    run,
};

/// Measures.
fn run(call: &Call<'_>) -> Outcome {
    let Call { command, parsed, .. } = call;
    let form = form(command, parsed)?;
    let name = parsed.get("target-format").map_or(RAW.into(), OsStr::to_string_lossy).into_owned();
    if asks_help(parsed) {
        return print(&options_help(&name)?).map(|()| 0);
    }
    check_lists(parsed)?;
    let mut setting = Setting::of_places(parsed)?;
    let (image, size) = source(parsed, &mut setting)?;
    let format = target_format(&name)?;
    let invalid = format!("qemu-img: Invalid options for file format '{name}'");
    let mut new = NewImage::new(parsed, format).map_err(|fault| fault.and(&invalid))?;
    settle_encryption(&mut new, format, &setting)?;
    if format.name == QCOW2 {
        rules::check(&new, format)?;
    }
    // Over what a backing file may hold, zeros are written like anything else.
    let hides = new.backing.is_some() && size.is_none();
    let snapshot = state::wanted(parsed, "snapshot", &image, &setting)?;
    let access = Access { snapshot: snapshot.as_deref(), ..setting.access(&image) };
    let source = match size {
        Some(size) => MeasureSource::Size(size.checked_next_multiple_of(SECTOR_LEN).unwrap_or(size)),
        None => MeasureSource::Image(image.source()),
    };
    let request = MeasureRequest { source, target_format: format.library.to_owned(), options: new.options, access };
    let mut measured = imgfmt::measure(&request).map_err(|error| cannot_measure(&image, &error))?;
    as_qemu_counts(&mut measured, &request, &image);
    if hides {
        measured.required = measured.fully_allocated;
    }
    print(&match form {
        Form::Human => human(&measured),
        Form::Json => json::text(&object(&measured)),
    })?;
    Ok(0)
}

/// What would be converted: an image, or an empty disk of some size.
fn source(parsed: &Parsed, setting: &mut Setting) -> Result<(Image, Option<u64>), Fault> {
    let name = match parsed.operands.as_slice() {
        [] => None,
        [name] => Some(name),
        _ => return Err(Fault::new("At most one filename argument is allowed.")),
    };
    let size = parsed.get("size").map(|size| sizes::size(size, "image size")).transpose()?;
    match (name, size) {
        (None, _) if parsed.has("image-opts") || parsed.has("format") || parsed.has("snapshot") => {
            Err(Fault::new("--image-opts, -f, and -l require a filename argument."))
        }
        (None, None) => Err(Fault::new("Either --size N or one filename must be specified.")),
        (Some(_), Some(_)) => Err(Fault::new("--size N cannot be used together with a filename.")),
        (None, Some(size)) => Ok((Image::file(std::path::Path::new("")), Some(size))),
        (Some(name), None) => {
            let mut image = Image::new(name, parsed.get("format"), parsed.has("image-opts"))?;
            image.settle_places(setting)?;
            Ok((image, None))
        }
    }
}

/// The format of the image that would be.
fn target_format(name: &str) -> Result<&'static Known, Fault> {
    let format = formats::named(name).ok_or_else(|| Fault::new(format!("Unknown file format '{name}'")))?;
    if MEASURED.contains(&format.name) && !formats::is_file_driver(name) {
        Ok(format)
    } else {
        Err(Fault::new(format!("Block driver '{name}' does not support size measurement")))
    }
}

/// Checks that the secret is there that a LUKS header would be made with. Other encryption takes no space.
fn settle_encryption(new: &mut NewImage, format: &Known, setting: &Setting) -> Result<(), Fault> {
    let is_luks = format.name == LUKS || new.options.get("encrypt.format") == Some(LUKS);
    if !is_luks {
        let names: Vec<_> = new.options.names().map(str::to_owned).collect();
        for name in names.iter().filter(|name| name.starts_with("encrypt")) {
            new.options = options::without(&new.options, name);
            new.given = options::without(&new.given, name);
        }
        return Ok(());
    }
    let name = if format.name == LUKS { "key-secret" } else { "encrypt.key-secret" };
    let id = new.options.get(name).ok_or_else(|| Fault::new(format!("Parameter '{name}' is required for cipher")))?;
    setting.secrets.get(id).map(drop).map_err(|_| Fault::new(format!("No secret with id '{}'", printable(id))))
}

/// Counts all of an image without tables as needed, as QEMU does, which does not foresee its holes. Room for bitmaps is told of wherever
/// both images could have some.
fn as_qemu_counts(measured: &mut Measured, request: &MeasureRequest<'_>, image: &Image) {
    let option = |name: &str| request.options.get(name);
    if request.target_format == RAW {
        let len = measured.fully_allocated;
        measured.fully_allocated = len.checked_next_multiple_of(SECTOR_LEN).unwrap_or(len);
    }
    if request.target_format != QCOW2 {
        measured.required = measured.fully_allocated;
    }
    let is_old = matches!(option("compat"), Some("0.10" | "v2"));
    if request.target_format == QCOW2 && image.can_have_bitmaps() {
        measured.bitmaps = (!is_old).then(|| measured.bitmaps.unwrap_or(0));
    }
}

/// Why it cannot be measured.
fn cannot_measure(image: &Image, error: &imgfmt::Error) -> Fault {
    if error.kind() == ErrorKind::Invalid && told(error).contains("there is no snapshot") {
        return state::not_found(&told(error));
    }
    if error.to_string() == format!("cannot open {}", image.path.display()) {
        return image.cannot_open(error);
    }
    if told(error).contains("needs clusters larger than") {
        return Fault::new("The image size is too large (try using a larger cluster size)");
    }
    Fault::new(told(error))
}

/// The answer for people.
fn human(measured: &Measured) -> String {
    let mut text =
        format!("required size: {}\nfully allocated size: {}\n", measured.required, measured.fully_allocated);
    if let Some(bitmaps) = measured.bitmaps {
        text.push_str(&format!("bitmaps size: {bitmaps}\n"));
    }
    text
}

/// The answer for programs.
fn object(measured: &Measured) -> Value {
    let mut object = Map::new();
    if let Some(bitmaps) = measured.bitmaps {
        object.insert("bitmaps".to_owned(), bitmaps.into());
    }
    object.insert("required".to_owned(), measured.required.into());
    object.insert("fully-allocated".to_owned(), measured.fully_allocated.into());
    object.into()
}

/// The snapshot that would be converted.
const SNAPSHOT: Opt =
    Opt { short: Some('l'), long: "snapshot", value: "SNAPSHOT", help: "measure this internal snapshot" };
/// The format of the image that would be.
const TARGET_FORMAT: Opt = Opt {
    short: Some('O'),
    long: "target-format",
    value: "FMT",
    help: "the format of the new image: raw, which is the default, qcow2 or luks",
};
/// The size of an empty disk.
const SIZE: Opt = Opt { short: Some('s'), long: "size", value: "SIZE", help: "measure an empty disk of this size" };
/// The format that can have bitmaps.
const QCOW2: &str = "qcow2";
/// The format of containers, and the name of the encryption that has its header in qcow2 images.
const LUKS: &str = "luks";
/// Formats whose size is known in advance.
const MEASURED: [&str; 3] = [RAW, QCOW2, LUKS];
/// Bytes of a sector, in which QEMU counts.
const SECTOR_LEN: u64 = 512;
