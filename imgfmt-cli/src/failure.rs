//! What can go wrong, and how it is told.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use imgfmt::ErrorKind;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the library says, and a way out where there is one.
    Image(imgfmt::Error, Option<String>),
    /// The arguments make no sense, or this version does not have what they ask for.
    Usage(String),
    /// Something of the operating system other than an image: what was done, and what it says.
    System(&'static str, io::Error),
}

impl Failure {
    /// What the library says, where `refused` is the file that the gate turned away, if it did.
    pub(crate) fn new(error: imgfmt::Error, refused: Option<PathBuf>) -> Self {
        let hint = match (error.kind(), refused) {
            (ErrorKind::Refused, Some(path)) => Some(format!("allow it with --allow {}", path.display())),
            (ErrorKind::Ambiguous, _) => Some("name the format with -f".to_owned()),
            _ => None,
        };
        Self::Image(error, hint)
    }

    /// Whether nobody reads what is printed any more.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::System(_, error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether it was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self, Self::Image(error, _) if error.kind() == ErrorKind::Cancelled)
    }

    /// Prints it to standard error.
    pub(crate) fn print(&self) {
        // There is nobody to tell that the error cannot be told.
        let _ = io::stderr().lock().write_all(self.text().as_bytes());
    }

    /// The lines to print.
    fn text(&self) -> String {
        match self {
            Self::Image(error, None) => format!("{NAME}: {}\n", chain(error)),
            Self::Image(error, Some(hint)) => format!("{NAME}: {}\n{NAME}: hint: {hint}\n", chain(error)),
            Self::Usage(what) => format!("{NAME}: {what}\n"),
            Self::System(what, error) => format!("{NAME}: {what}: {error}\n"),
        }
    }
}

impl From<imgfmt::Error> for Failure {
    fn from(error: imgfmt::Error) -> Self {
        Self::new(error, None)
    }
}

/// An error and all that caused it, in one line.
fn chain(error: &dyn Error) -> String {
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

    fn text(error: imgfmt::Error, refused: Option<&str>) -> String {
        Failure::new(error, refused.map(PathBuf::from)).text()
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_a_way_out() {
        let error = imgfmt::Error::malformed("is 8, outside 9..=21").field("cluster_bits").at(20).in_format("qcow2");
        let told = "imgfmt: cannot open disk.img: qcow2: byte 20: cluster_bits is 8, outside 9..=21\n";
        assert_eq!(text(error.context("cannot open disk.img"), None), told);
        let error = imgfmt::Error::new(ErrorKind::Ambiguous, "two formats");
        assert_eq!(text(error, None), "imgfmt: two formats\nimgfmt: hint: name the format with -f\n");
        let refused = || imgfmt::Error::refused("no");
        assert_eq!(text(refused(), Some("/a b")), "imgfmt: no\nimgfmt: hint: allow it with --allow /a b\n");
        assert_eq!(text(refused(), None), "imgfmt: no\n");
    }
}
