//! `qemu-img amend`.

use imgfmt::{ErrorKind, Locking, Options};

use super::common::{self, CACHE, FORMAT, IMAGE_OPTS, OBJECT, PROGRESS, QUIET, only};
use super::create::OPTIONS;
use super::fault::{Fault, Outcome, print, told};
use super::formats::{self, Known};
use super::getopt::{Opt, Parsed};
use super::image::Image;
use super::mend::mend_unclean;
use super::option_help;
use super::options::{FLAGS, asks_help, given, size};
use super::progress::Meter;
use super::setting::Setting;
use super::{Call, Command};

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "amend",
    summary: "Change options of an image that exists",
    operands: "FILE",
    options: &[QUIET, PROGRESS, FORMAT, IMAGE_OPTS, CACHE, OPTIONS, FORCE, OBJECT],
    run,
};

/// Changes options.
fn run(call: &Call<'_>) -> Outcome {
    let Call { command, parsed, .. } = call;
    if !parsed.has("options") {
        return Err(Fault::usage(command, "Must specify options (-o)"));
    }
    common::is_flushed(parsed, "cache", "writeback")?;
    if let Some(format) = parsed.get("format").filter(|_| asks_help(parsed)) {
        let format = format.to_string_lossy();
        let known = formats::named(&format).ok_or_else(|| Fault::new(format!("Unknown file format '{format}'")))?;
        return help(known);
    }
    let name = only(command, parsed)?;
    let mut image = Image::new(name, parsed.get("format"), parsed.has("image-opts"))?;
    if asks_help(parsed) {
        image.settle(Locking::Ignore)?;
        return help(image.format.ok_or_else(|| Fault::new("the format is unknown"))?);
    }
    let setting = Setting::new(parsed)?;
    image.settle_to_write()?;
    mend_unclean(&image, &setting)?;
    let options = options(parsed, image.format_name(), image.library_format())?;
    let meter = Meter::new(parsed);
    let result = imgfmt::amend(&image.source(), &options, parsed.has("force"), &setting.access(&image));
    meter.finish(result.is_ok());
    result.map_err(|error| cannot_amend(&image, &error))?;
    Ok(0)
}

/// The options to change.
fn options(parsed: &Parsed, name: &str, library: &str) -> Result<Options, Fault> {
    let specs = imgfmt::amend_options_of(library)
        .map_err(|_| Fault::new(format!("Format driver '{name}' does not support option amendment")))?;
    let options = given(parsed)?;
    for name in options.names() {
        if name == "backing_file" || name == "backing_fmt" {
            return Err(Fault::new("Cannot amend the backing file\nYou can use 'qemu-img rebase' instead."));
        }
        if specs.iter().all(|spec| spec.name != name) {
            let of_new = imgfmt::options_of(library).is_ok_and(|specs| specs.iter().any(|spec| spec.name == name));
            let more = if of_new { "\nThis option is only supported for image creation" } else { "" };
            return Err(Fault::new(format!("Invalid parameter '{name}'{more}")));
        }
        let value = options.get(name).unwrap_or_default();
        match specs.iter().find(|spec| spec.name == name).map(|spec| spec.values) {
            Some("SIZE") if size(name, value)? % SECTOR_LEN != 0 => {
                return Err(Fault::new(format!("The new size must be a multiple of {SECTOR_LEN}")));
            }
            Some("on|off") if !FLAGS.contains(&value) => {
                return Err(Fault::new(format!("Parameter '{name}' expects 'on' or 'off'")));
            }
            _ if name == "compat" && !["0.10", "v2", "1.1", "v3"].contains(&value) => {
                return Err(Fault::new(format!("Unknown compatibility level {value}")));
            }
            _ => {}
        }
    }
    Ok(options)
}

/// Prints the options that can be changed.
fn help(format: &Known) -> Outcome {
    let cannot = |_| Fault::new(format!("Format driver '{}' does not support option amendment", format.name));
    let specs = imgfmt::amend_options_of(format.library).map_err(cannot)?;
    print(&option_help::text(&format!("Amend options for '{}'", format.name), specs, &[])).map(|()| 0)
}

/// Why they cannot be changed.
fn cannot_amend(image: &Image, error: &imgfmt::Error) -> Fault {
    match error.kind() {
        ErrorKind::Locked | ErrorKind::Missing | ErrorKind::Refused => image.cannot_open(error),
        _ if image.is_corrupt() => image.corrupt(),
        _ => Fault::new(told(error)),
    }
}

/// Allowing what cannot be undone.
const FORCE: Opt = Opt { short: None, long: "force", value: "", help: "allow what cannot be undone" };
/// Bytes of a sector, in which QEMU counts.
const SECTOR_LEN: u64 = 512;
