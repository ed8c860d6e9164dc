//! Why a command did not do what it was asked for, in the words that callers of `qemu-img` look for.

use std::error::Error as _;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use imgfmt::{Error, ErrorKind};

use super::info_json::below_folder;
use super::report::stderr;
use crate::render::text::printable;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Fault {
    /// What is printed to standard error, without the last end of line; nothing where all has been said.
    text: String,
    /// The exit code.
    pub(crate) code: u8,
    /// Whether it was cancelled.
    pub(crate) cancelled: bool,
}

/// What a command answers: its exit code.
pub(crate) type Outcome = Result<u8, Fault>;

impl Fault {
    /// A fault that is told in `text`, which may have several lines.
    pub(crate) fn new(text: impl Display) -> Self {
        Self { text: format!("{NAME}: {text}"), code: FAILED, cancelled: false }
    }

    /// A fault of the command line: how to learn more follows.
    pub(crate) fn usage(command: &str, text: impl Display) -> Self {
        Self::new(format!("{text}\nTry '{NAME} {command} --help' for more info"))
    }

    /// A fault that the C library would tell of.
    pub(crate) fn option(command: &str, text: &str) -> Self {
        let text = format!("{NAME} {command}: {text}\nTry '{NAME} {command} --help' for more info");
        Self { text, code: FAILED, cancelled: false }
    }

    /// A fault of which nothing is left to say.
    pub(crate) fn silent(code: u8) -> Self {
        Self { text: String::new(), code, cancelled: false }
    }

    /// The same fault, about something called `name`.
    pub(crate) fn about(self, name: &str) -> Self {
        let told = self.text.strip_prefix(NAME).and_then(|text| text.strip_prefix(": ")).unwrap_or(&self.text);
        Self { text: format!("{NAME}: {name}: {told}"), ..self }
    }

    /// The same fault about something called `name`, in the middle of `what`.
    pub(crate) fn within(self, name: &str, what: &str) -> Self {
        let told = self.text.strip_prefix(NAME).and_then(|text| text.strip_prefix(": ")).unwrap_or(&self.text);
        let told = told.strip_prefix(name).and_then(|text| text.strip_prefix(": ")).unwrap_or(told);
        Self { text: format!("{NAME}: {name}: {what}: {told}"), ..self }
    }

    /// The same fault, without `part` where it says that for the first time.
    pub(crate) fn without(self, part: &str) -> Self {
        self.instead(part, "")
    }

    /// The same fault, with `new` in the place of `old`.
    pub(crate) fn instead(self, old: &str, new: &str) -> Self {
        Self { text: self.text.replacen(old, new, 1), ..self }
    }

    /// The same fault, with another line.
    pub(crate) fn and(self, line: &str) -> Self {
        Self { text: format!("{}\n{line}", self.text), ..self }
    }

    /// The same fault, with another exit code.
    pub(crate) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Where an image that the caller called `name`, and whose file is at `path`, cannot be opened.
    pub(crate) fn open(name: &str, path: &Path, error: &Error) -> Self {
        let (name, file) = (printable(name), shown(path));
        let text = match (error.kind(), system_error(error)) {
            (_, Some(system)) if backing_of(error).is_some() => {
                let backing = backing_of(error).unwrap_or_default();
                let backing = shown(&below_folder(path, &backing));
                let which = if is_data_file(error) { "" } else { "Could not open backing file: " };
                format!("Could not open '{name}': {which}Could not open '{backing}': {system}")
            }
            (ErrorKind::Locked, _) if backing_of(error).is_some() => {
                let backing = shown(&below_folder(path, &backing_of(error).unwrap_or_default()));
                let what = format!("Could not open '{name}': Could not open backing file: {}", innermost(error));
                format!("{what}\nIs another process using the image [{backing}]?")
            }
            (ErrorKind::Locked, _) => {
                format!("Could not open '{name}': {}\nIs another process using the image [{file}]?", innermost(error))
            }
            // One level that says what could not be opened is enough.
            (_, Some(system)) if levels(error) <= 3 => {
                format!("Could not open '{name}': Could not open '{file}': {system}")
            }
            _ => format!("Could not open '{name}': {}", told(error)),
        };
        Self { cancelled: error.kind() == ErrorKind::Cancelled, ..Self::new(text) }
    }

    /// Where something else than opening failed: `what` says what.
    pub(crate) fn of(what: impl Display, error: &Error) -> Self {
        let mut text = format!("{what}: {}", told(error));
        if error.kind() == ErrorKind::Locked {
            text.push_str("\nIs another process using the image?");
        }
        Self { cancelled: error.kind() == ErrorKind::Cancelled, ..Self::new(text) }
    }

    /// Where standard output cannot be written to.
    pub(crate) fn print(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::silent(0),
            _ => Self::new(format!("cannot print: {}", strerror(error))),
        }
    }

    /// Prints it.
    pub(crate) fn tell(&self) {
        if !self.text.is_empty() {
            stderr(&format!("{}\n", self.text));
        }
    }

    /// The text.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::print(&error)
    }
}

/// Prints an answer to standard output.
pub(crate) fn print(text: &str) -> Result<(), Fault> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|e| Fault::print(&e))
}

/// All levels of an error in one line, in which the operating system speaks as the C library lets it.
pub(crate) fn told(error: &Error) -> String {
    let mut parts = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(level) = next {
        parts.push(match level.downcast_ref::<io::Error>() {
            Some(system) => strerror(system),
            None => level.to_string(),
        });
        next = level.source();
    }
    // What could not be opened has been said by whoever prints this.
    if parts.len() > 1 && parts[0].starts_with("cannot open ") {
        parts.remove(0);
    }
    printable(&parts.join(": ")).into_owned()
}

/// What the operating system says, where it is what the error comes from.
pub(crate) fn system_error(error: &Error) -> Option<String> {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(level) = next {
        if let Some(system) = level.downcast_ref::<io::Error>() {
            return Some(strerror(system));
        }
        next = level.source();
    }
    None
}

/// An error of the operating system in the words of the C library.
pub(crate) fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// A path as it is shown.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// How many levels an error has.
fn levels(error: &Error) -> usize {
    let mut count = 1;
    let mut next = error.source();
    while let Some(level) = next {
        count += 1;
        next = level.source();
    }
    count
}

/// The backing file that could not be opened, where that is what an error is about.
fn backing_of(error: &Error) -> Option<PathBuf> {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    let mut found = None;
    while let Some(level) = next {
        let text = level.to_string();
        let named = text.strip_suffix(", which the image names").and_then(|text| text.rsplit_once("cannot open "));
        found = named.map(|(_, path)| PathBuf::from(path)).or(found);
        next = level.source();
    }
    found
}

/// Whether an error is about the data file of an image.
fn is_data_file(error: &Error) -> bool {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(level) = next {
        if level.to_string().contains("cannot open the data file ") {
            return true;
        }
        next = level.source();
    }
    false
}

/// What an error says at its lowest level.
pub(crate) fn innermost(error: &Error) -> String {
    let mut level: &dyn std::error::Error = error;
    while let Some(below) = level.source() {
        level = below;
    }
    printable(&level.to_string()).into_owned()
}

/// What the program is called here.
pub(crate) const NAME: &str = "qemu-img";
/// The exit code of what failed.
pub(crate) const FAILED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_callers_look_for_are_there() {
        let missing = Error::io("cannot open", io::Error::from_raw_os_error(2)).context("cannot open disk.img");
        let told = "qemu-img: Could not open 'disk.img': Could not open 'disk.img': No such file or directory";
        assert_eq!(Fault::open("disk.img", Path::new("disk.img"), &missing).text(), told);
        let full = Error::io("cannot write 512 bytes", io::Error::from_raw_os_error(28)).at(0);
        assert!(Fault::of("error while writing", &full).text().ends_with(": No space left on device"));
        let locked = Error::new(ErrorKind::Locked, "Failed to get \"write\" lock").context("cannot open disk.img");
        let told = "qemu-img: Could not open 'disk.img': Failed to get \"write\" lock\nIs another process using the image [disk.img]?";
        assert_eq!(Fault::open("disk.img", Path::new("disk.img"), &locked).text(), told);
    }
}
