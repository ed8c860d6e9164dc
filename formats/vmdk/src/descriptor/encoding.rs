//! The encoding of names in a descriptor.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use imgfmt_core::{Error, Result};

/// How the bytes of a descriptor are to be read, as its key `encoding` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// UTF-8, ASCII, or nothing said: a name is the bytes that it is on the host.
    #[default]
    Bytes,
    /// Windows-1252, and ISO 8859-1, which all treat as the same.
    Windows1252,
    /// One that is not known; ASCII is still the same in it.
    Other(String),
}

impl Encoding {
    /// The encoding called `name`.
    pub(crate) fn named(name: &[u8]) -> Self {
        let name = String::from_utf8_lossy(name).to_lowercase();
        match name.as_str() {
            "" | "utf-8" | "utf8" | "us-ascii" | "ascii" => Self::Bytes,
            "windows-1252" | "cp1252" | "iso-8859-1" | "iso8859-1" | "latin1" => Self::Windows1252,
            _ => Self::Other(name),
        }
    }

    /// The file name that `bytes` mean.
    pub(crate) fn path(&self, bytes: &[u8]) -> Result<PathBuf> {
        match self {
            Self::Other(name) if !bytes.is_ascii() => {
                let what = format!("a file name in the encoding {name} cannot be read");
                Err(Error::unsupported(what).field("encoding"))
            }
            Self::Windows1252 if !bytes.is_ascii() => Ok(self.text(bytes).into()),
            _ => Ok(OsStr::from_bytes(bytes).into()),
        }
    }

    /// The text that `bytes` mean, for people to read.
    pub(crate) fn text(&self, bytes: &[u8]) -> String {
        match self {
            Self::Windows1252 => bytes.iter().map(|&byte| windows_1252(byte)).collect(),
            _ => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

/// The character of one byte.
fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252_C1[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// The characters of the bytes from 0x80 on, where Windows-1252 is not ISO 8859-1. Those that it does not
/// define stand for themselves, as in the WHATWG encoding standard.
const WINDOWS_1252_C1: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use imgfmt_core::ErrorKind;

    use super::*;

    #[test]
    fn names_are_bytes_unless_an_encoding_is_named() {
        let latin = b"M\xfcll\x80.vmdk";
        assert_eq!(Encoding::default().path(latin).unwrap().as_os_str().as_bytes(), latin);
        assert_eq!(Encoding::named(b"windows-1252").path(latin).unwrap(), Path::new("Müll€.vmdk"));
        assert_eq!(Encoding::named(b"UTF-8").path("Müll".as_bytes()).unwrap(), Path::new("Müll"));
        let other = Encoding::named(b"Shift_JIS");
        assert_eq!(other.path(latin).unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(other.path(b"plain").unwrap(), Path::new("plain"));
    }
}
