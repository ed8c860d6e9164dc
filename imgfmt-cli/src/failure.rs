//! What can go wrong, and how it is told.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use imgfmt::ErrorKind;

use crate::exit::Exit;
use crate::render::text::printable;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the library says, and a way out where there is one.
    Image(imgfmt::Error, Option<String>),
    /// The arguments make no sense, or this version does not have what they ask for.
    Usage(String),
    /// Something of the operating system other than an image: what was done, and what it says.
    System(&'static str, io::Error),
    /// A failure that ends the program with a number of its own.
    Coded(u8, Box<Failure>),
}

impl Failure {
    /// What the library says, where `refused` is the file that the gate turned away, if it did.
    pub(crate) fn new(error: imgfmt::Error, refused: Option<PathBuf>) -> Self {
        let hint = match (error.kind(), refused) {
            (ErrorKind::Refused, Some(path)) => Some(format!("allow it with --allow {}", path.display())),
            (ErrorKind::Locked, _) => Some("another program uses the image; -U goes on all the same".to_owned()),
            (ErrorKind::Invalid, _) if chain(&error).ends_with(imgfmt::WOULD_SHRINK) => {
                Some("--shrink allows it".to_owned())
            }
            (ErrorKind::Unsupported, _) if chain(&error).ends_with(imgfmt::WHERE_IT_IS) => {
                Some("--in-place does that; the image keeps its snapshots, keys and files".to_owned())
            }
            (ErrorKind::Ambiguous, _) => Some("name the format with -f".to_owned()),
            _ => None,
        };
        Self::Image(error, hint)
    }

    /// The same failure, which ends the program with `code`.
    pub(crate) fn with_code(self, code: u8) -> Self {
        Self::Coded(code, Box::new(self))
    }

    /// The number that the program ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Coded(code, _) => Exit::Answer(*code),
            _ => Exit::Error,
        }
    }

    /// Whether nobody reads what is printed any more.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::System(_, error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether it was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        match self {
            Self::Image(error, _) => error.kind() == ErrorKind::Cancelled,
            Self::Coded(_, failure) => failure.is_cancelled(),
            _ => false,
        }
    }

    /// Prints it to standard error.
    pub(crate) fn print(&self) {
        let lines: String = self.lines().iter().map(|line| format!("{NAME}: {}\n", printable(line))).collect();
        // There is nobody to tell that the error cannot be told.
        let _ = io::stderr().lock().write_all(lines.as_bytes());
    }

    /// The lines to print.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Image(error, hint) => {
                std::iter::once(chain(error)).chain(hint.iter().map(|hint| format!("hint: {hint}"))).collect()
            }
            Self::Usage(what) => vec![what.clone()],
            Self::System(what, error) => vec![format!("{what}: {error}")],
            Self::Coded(_, failure) => failure.lines(),
        }
    }
}

impl From<imgfmt::Error> for Failure {
    fn from(error: imgfmt::Error) -> Self {
        Self::new(error, None)
    }
}

/// Tells something that is no error, on standard error.
pub(crate) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(format!("{NAME}: note: {}\n", printable(text)).as_bytes());
}

/// Prints what is wrong with the arguments, in the form of all other errors.
pub(crate) fn print_usage_error(error: &clap::Error) {
    let text = error.render().to_string();
    // Where all arguments are missing, the text is the help, and has no such prefix.
    let text = text.strip_prefix("error: ").map_or_else(|| text.clone(), |text| format!("{NAME}: {text}"));
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// An option that is unknown is seldom a file of that name: without the tip that says how to name such a file.
pub(crate) fn without_detour(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
        tips.retain(|tip| !tip.to_string().starts_with("to pass "));
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    error
}

/// An error and all that caused it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        // Writing to a string does not fail.
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

/// The program's name in front of what it says.
const NAME: &str = "imgfmt";

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(error: imgfmt::Error, refused: Option<&str>) -> Vec<String> {
        Failure::new(error, refused.map(PathBuf::from)).lines()
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_a_way_out() {
        let error = imgfmt::Error::malformed("is 8, outside 9..=21").field("cluster_bits").at(20).in_format("qcow2");
        let told = "cannot open disk.img: qcow2: byte 20: cluster_bits is 8, outside 9..=21";
        assert_eq!(lines(error.context("cannot open disk.img"), None), [told]);
        let error = imgfmt::Error::new(ErrorKind::Ambiguous, "two formats");
        assert_eq!(lines(error, None), ["two formats", "hint: name the format with -f"]);
        let refused = || imgfmt::Error::refused("no");
        assert_eq!(lines(refused(), Some("/a")), ["no", "hint: allow it with --allow /a"]);
        assert_eq!(lines(refused(), None), ["no"]);
    }
}
