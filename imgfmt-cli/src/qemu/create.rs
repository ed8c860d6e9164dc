//! `qemu-img create`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use imgfmt::{CreateImage, ErrorKind, ParentName};

use super::common::{OBJECT, QUIET};
use super::fault::{Fault, Outcome, innermost, print, shown, system_error, told};
use super::formats::{self, Known, PARALLELS, RAW};
use super::getopt::Opt;
use super::image::Image;
use super::names::{self, Meaning};
use super::option_help::{self, text as help};
use super::options::{NewImage, asks_help, check_lists, formatting};
use super::setting::Setting;
use super::way::Way;
use super::{Call, Command, rules, sizes};
use crate::remote::Address;
use crate::render::text::printable;

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "create",
    summary: "Make a new image",
    operands: "FILE [SIZE]",
    options: &[QUIET, FORMAT, OPTIONS, BACKING, BACKING_FORMAT, UNCHECKED, OBJECT],
    run,
};

/// Makes a new image.
fn run(call: &Call<'_>) -> Outcome {
    let Call { command, parsed, .. } = call;
    let format_name = parsed.get("format").map_or(RAW.into(), OsStr::to_string_lossy).into_owned();
    if asks_help(parsed) {
        return print(&options_help(&format_name)?).map(|()| 0);
    }
    let (name, size) = match parsed.operands.as_slice() {
        [name] => (name, None),
        [name, size] => (name, Some(size)),
        [] => return Err(Fault::usage(command, "Expecting image file name")),
        [_, _, more, ..] => return Err(Fault::usage(command, format!("Unexpected argument: {}", more.display()))),
    };
    let size = size.map(|size| sizes::size(size, "image size")).transpose()?;
    let place = place(name)?;
    let path = place.path.clone();
    let file = printable(&place.given).into_owned();
    let cannot = |what: String| Fault::new(format!("{file}: {what}"));
    let format = formats::named(&format_name).ok_or_else(|| cannot(format!("Unknown file format '{format_name}'")))?;
    if imgfmt::options_of(format.library).is_err() {
        return Err(cannot(format!("Format driver '{format_name}' does not support image creation")));
    }
    check_lists(parsed)?;
    let mut new = NewImage::new(parsed, format).map_err(|fault| fault.about(&file))?;
    if new.backing.is_some() && formats::has_no_backing(format) {
        return Err(cannot(format!("Backing file not supported for file format '{format_name}'")));
    }
    if new.backing.as_deref() == Some(path.as_path()) {
        return Err(cannot("Error: Trying to create an image with the same filename as the backing file".to_owned()));
    }
    if size.is_some() && new.size.is_some() {
        return Err(cannot("The image size must be specified only once".to_owned()));
    }
    let setting = Setting::new(parsed)?;
    let size = size.or(new.size);
    let unchecked = parsed.has("backing-unsafe");
    let base = base(&Setting::shared(parsed)?, &place, &mut new, unchecked, size)?;
    let size = size.or(base).ok_or_else(|| cannot("Image creation needs a size parameter".to_owned()))?;
    if !parsed.has("quiet") {
        print(&format!("{}\n", formatting(&file, (&format_name, format), &new, size)))?;
    }
    if new.backing.is_none() && new.backing_format.is_some() {
        return Err(cannot("Backing format cannot be used without backing file".to_owned()));
    }
    rules::check(&new, format).map_err(|fault| fault.about(&file))?;
    let way = Way::driver(&format_name).or(place.way);
    if let Some(why) = way.and_then(|way| way.refusal_of_new(&path)) {
        return Err(cannot(why));
    }
    create(&setting, &place, format, new, size, unchecked)?;
    Ok(0)
}

/// Has the library make it.
fn create(
    setting: &Setting,
    place: &Image,
    format: &Known,
    new: NewImage,
    size: u64,
    unchecked_backing: bool,
) -> Result<(), Fault> {
    let path = &place.path;
    let backing = new.backing.map(|name| ParentName { name, format: new.backing_format });
    let request = CreateImage {
        path: path.clone(),
        format: format.library.to_owned(),
        // QEMU counts in sectors.
        size: Some(size.checked_next_multiple_of(SECTOR_LEN).unwrap_or(size)),
        options: new.options,
        backing,
        unchecked_backing,
        access: setting.access(place),
    };
    match imgfmt::create(&request) {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(too_large(place, format, &error).unwrap_or_else(|| cannot_create(&place.given, path, &error)))
        }
    }
}

/// Why the image cannot be made, where its size is why.
fn too_large(place: &Image, format: &Known, error: &imgfmt::Error) -> Option<Fault> {
    let text = told(error);
    let name = printable(&place.given);
    let hint = match format.name {
        PARALLELS if text.contains("needs clusters larger than") => {
            return Some(Fault::new(format!("{name}: Image size is too large for this cluster size")));
        }
        "qcow2" if text.contains("needs clusters larger than") => " (try using a larger cluster size)",
        _ if text.ends_with(": File too large") => "",
        _ => return None,
    };
    Some(Fault::new(format!("{name}: The image size is too large for file format '{}'{hint}", format.name)))
}

/// Why the image at `path`, which the caller calls `given`, cannot be made.
pub(crate) fn cannot_create(given: &str, path: &Path, error: &imgfmt::Error) -> Fault {
    let (given, name) = (printable(given), shown(path));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let text = told(error);
    let could_not = |why: &str| Fault::new(format!("{given}: Could not create '{name}': {why}"));
    match system_error(error) {
        _ if path.is_dir() => could_not("Is a directory"),
        _ if matches!(Address::parse(path), Ok(Some(_))) => {
            // What is no file is not called by its name twice.
            let ways = [format!("cannot write to {name}: "), format!("cannot create {name}: ")];
            let told = ways.iter().find_map(|way| text.strip_prefix(way)).unwrap_or(&text);
            Fault::new(format!("{given}: {told}"))
        }
        Some(system) if !folder.is_dir() || text.ends_with(&format!("cannot create {name}: {system}")) => {
            could_not(&system)
        }
        _ if error.kind() == ErrorKind::Locked => Fault::new(format!("{given}: {}", innermost(error)))
            .and(&format!("Is another process using the image [{name}]?")),
        _ => Fault::new(format!("{given}: {text}")),
    }
}

/// Looks at the file that the new image builds on, and says how large it is. Its format has to be named.
fn base(
    setting: &Setting,
    place: &Image,
    new: &mut NewImage,
    unchecked: bool,
    size: Option<u64>,
) -> Result<Option<u64>, Fault> {
    let Some(backing) = new.backing.clone() else { return Ok(None) };
    let name = printable(&place.given).into_owned();
    if let Some(format) = &new.backing_format
        && formats::named(format).is_none()
    {
        return Err(Fault::new(format!("{name}: Unknown driver '{format}'")).and(NO_BACKING));
    }
    if unchecked && new.backing_format.is_none() {
        return Err(Fault::new(format!("{name}: Backing file specified without backing format")));
    }
    if unchecked && size.is_some() {
        return Ok(None);
    }
    if unchecked {
        return Err(Fault::new(format!("{name}: Image creation needs a size parameter")));
    }
    let mut image = Image::file(&beside(&place.path, &backing));
    image.format = new.backing_format.as_deref().and_then(formats::named);
    let given = format!("Could not open '{}': ", image.given);
    let cannot = |fault: Fault| fault.without(&given).about(&name).and(NO_BACKING);
    let probed = image.settle(setting.locking()).map_err(cannot)?;
    if probed {
        let what =
            format!("Backing file specified without backing format\nDetected format of {}.", image.format_name());
        return Err(Fault::new(format!("{name}: {what}")));
    }
    let info = setting.describe(&image, false).map_err(cannot)?;
    Ok(Some(super::info_json::virtual_size(&info)))
}

/// Where a file called `name` in the image at `path` is.
pub(crate) fn beside(path: &Path, name: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(name)
}

/// Where a new image is to be, of which nothing else is known.
pub(crate) fn place(name: &OsStr) -> Result<Image, Fault> {
    match names::meaning(name)? {
        Meaning::File(_) | Meaning::Remote(_) => Image::new(name, None, false),
        Meaning::Options(_) => {
            let name = name.to_string_lossy();
            Err(Fault::new(format!("{name}: a new image is named by its file, not by a specification")))
        }
    }
}

/// The options that a new image of the format called `name` can have.
pub(crate) fn options_help(name: &str) -> Result<String, Fault> {
    let format = formats::named(name).ok_or_else(|| Fault::new(format!("Unknown file format '{name}'")))?;
    let specs = imgfmt::options_of(format.library)
        .map_err(|_| Fault::new(format!("Format driver '{name}' does not support image creation")))?;
    let mut besides = vec![option_help::SIZE];
    if !formats::has_no_backing(format) {
        besides.extend(option_help::BACKING);
    }
    Ok(help(&format!("Supported {name} options"), specs, &besides))
}

/// The format of the new image.
const FORMAT: Opt =
    Opt { short: Some('f'), long: "format", value: "FMT", help: "the format of the new image; raw without it" };
/// Options of the new image.
pub(crate) const OPTIONS: Opt = Opt {
    short: Some('o'),
    long: "options",
    value: "OPTS",
    help: "options of the new image as NAME=VALUE,...; 'help' lists them; repeatable",
};
/// The file that the new image builds on.
const BACKING: Opt =
    Opt { short: Some('b'), long: "backing", value: "FILE", help: "the file that the new image builds on" };
/// The format of that file.
const BACKING_FORMAT: Opt =
    Opt { short: Some('F'), long: "backing-format", value: "FMT", help: "the format of that file; needed with -b" };
/// Not looking at that file.
const UNCHECKED: Opt = Opt { short: Some('u'), long: "backing-unsafe", value: "", help: "do not look at that file" };
/// What is said besides where the file that a new image builds on cannot be opened.
const NO_BACKING: &str = "Could not open backing image.";
/// Bytes of a sector, in which QEMU counts.
const SECTOR_LEN: u64 = 512;
