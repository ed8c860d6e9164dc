//! `qemu-img map`.

use super::common::{FORCE_SHARE, FORMAT, Form, IMAGE_OPTS, OBJECT, OUTPUT, form, only};
use super::fault::{Fault, Outcome, print, shown};
use super::getopt::Opt;
use super::image::Image;
use super::report::error;
use super::runs::{Run, Runs};
use super::setting::Setting;
use super::{Call, Command, sizes};

/// The command.
pub(crate) const COMMAND: Command = Command {
    name: "map",
    summary: "Tell where the bytes of a disk are",
    operands: "FILE",
    options: &[FORMAT, IMAGE_OPTS, START, LEN, OUTPUT, FORCE_SHARE, OBJECT],
    run,
};

/// Tells where bytes are.
fn run(call: &Call<'_>) -> Outcome {
    let Call { command, parsed, .. } = call;
    let form = form(command, parsed)?;
    let number = |name, what| parsed.get(name).map(|text| sizes::size(text, what)).transpose();
    let start = number("start-offset", "start offset")?.unwrap_or(0);
    let len = number("max-length", "max length")?;
    let name = only(command, parsed)?;
    let mut image = Image::new(name, parsed.get("format"), parsed.has("image-opts"))?;
    let mut setting = Setting::of_places(parsed)?;
    image.settle_places(&mut setting)?;
    let access = setting.access(&image);
    let layers = imgfmt::open_layers(&image.path, Some(image.library_format()), &access)
        .map_err(|error| image.cannot_open(&error))?;
    let runs = Runs::new(&image, layers).map_err(|error| image.cannot_open(&error))?;
    let end = len.map_or(runs.size(), |len| start.saturating_add(len).min(runs.size()));
    match form {
        Form::Json => as_json(&runs, start, end)?,
        Form::Human => as_text(&runs, start, end)?,
    }
    Ok(0)
}

/// Prints the runs for programs: one a line.
fn as_json(runs: &Runs, start: u64, end: u64) -> Result<(), Fault> {
    let mut text = String::new();
    let mut first = true;
    runs.visit(start..end, &mut |run| {
        text.push_str(if first { "[" } else { ",\n" });
        text.push_str(&object(run));
        first = false;
        flush(&mut text)
    })?;
    if first {
        let nothing = Run { start, ..Run::default() };
        text.push_str(&format!("[{}", object(&nothing)));
    }
    text.push_str("]\n");
    print(&text)
}

/// One run for programs.
fn object(run: &Run) -> String {
    let Run { start, len, depth, present, zero, data, compressed, .. } = run;
    let offset = run.host.map(|(_, offset)| format!(", \"offset\": {offset}")).unwrap_or_default();
    format!(
        "{{ \"start\": {start}, \"length\": {len}, \"depth\": {depth}, \"present\": {present}, \"zero\": {zero}, \
         \"data\": {data}, \"compressed\": {compressed}{offset}}}"
    )
}

/// Prints the runs for people: those that lie in a file as they are.
fn as_text(runs: &Runs, start: u64, end: u64) -> Result<(), Fault> {
    let mut text = format!("{:<16}{:<16}{:<16}{}\n", "Offset", "Length", "Mapped to", "File");
    runs.visit(start..end, &mut |run| {
        if !run.data || run.zero {
            return Ok(());
        }
        let Some((source, offset)) = run.host else {
            error("File contains external, encrypted or compressed clusters.");
            print(&std::mem::take(&mut text))?;
            return Err(Fault::silent(1));
        };
        let file = shown(&runs.file(source));
        text.push_str(&format!("{:<16}{:<16}{:<16}{file}\n", hex(run.start), hex(run.len), hex(offset)));
        flush(&mut text)
    })?;
    print(&text)
}

/// Prints `text` once there is much of it.
fn flush(text: &mut String) -> Result<(), Fault> {
    if text.len() < MUCH { Ok(()) } else { print(&std::mem::take(text)) }
}

/// A number as C prints it with `%#x`.
fn hex(number: u64) -> String {
    if number == 0 { "0".to_owned() } else { format!("{number:#x}") }
}

/// The first byte to tell of.
const START: Opt =
    Opt { short: Some('s'), long: "start-offset", value: "OFFSET", help: "the first byte to tell of; 0 without it" };
/// How many bytes to tell of.
const LEN: Opt =
    Opt { short: Some('l'), long: "max-length", value: "LENGTH", help: "how many bytes to tell of; all without it" };
/// Text that is printed at once.
const MUCH: usize = 64 << 10;
