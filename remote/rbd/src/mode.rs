//! What the helper is asked to do.

use std::fmt;

use imgfmt_core::{Error, Result};

/// What the helper is asked to do with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Serve it to be read.
    Read,
    /// Serve it to be written, too.
    Write,
    /// Make it, so many bytes long, and serve it to be written.
    Create(u64),
    /// Remove it.
    Remove,
}

impl Mode {
    /// The mode that the first word means of what the helper is told.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        match (text, text.strip_prefix("create=").map(str::parse)) {
            ("read", _) => Ok(Self::Read),
            ("write", _) => Ok(Self::Write),
            ("remove", _) => Ok(Self::Remove),
            (_, Some(Ok(size))) => Ok(Self::Create(size)),
            _ => Err(Error::invalid(format!("'{text}' is nothing that can be done with an image"))),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("read"),
            Self::Write => f.write_str("write"),
            Self::Create(size) => write!(f, "create={size}"),
            Self::Remove => f.write_str("remove"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_taken() {
        for mode in [Mode::Read, Mode::Write, Mode::Create(7), Mode::Remove] {
            assert_eq!(Mode::parse(&mode.to_string()).unwrap(), mode);
        }
        assert!(Mode::parse("create=x").is_err() && Mode::parse("").is_err());
    }
}
