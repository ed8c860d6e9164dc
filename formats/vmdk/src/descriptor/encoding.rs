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
    /// One of the host that wrote it, such as `windows-1252` or `Shift_JIS`. In all of them ASCII is the same, and
    /// no character of several bytes has a quote or a line's end in it.
    Known(&'static encoding_rs::Encoding),
    /// One that is not known; ASCII is still the same in it.
    Other(String),
}

impl Encoding {
    /// The encoding called `name`, by the labels of the WHATWG encoding standard.
    pub(crate) fn named(name: &[u8]) -> Self {
        let lower = String::from_utf8_lossy(name).to_lowercase();
        if matches!(lower.as_str(), "" | "us-ascii" | "ascii") {
            return Self::Bytes;
        }
        match encoding_rs::Encoding::for_label(name) {
            Some(found) if found == encoding_rs::UTF_8 => Self::Bytes,
            Some(found) if found.is_ascii_compatible() => Self::Known(found),
            _ => Self::Other(lower),
        }
    }

    /// The file name that `bytes` mean.
    pub(crate) fn path(&self, bytes: &[u8]) -> Result<PathBuf> {
        match self {
            Self::Bytes => Ok(OsStr::from_bytes(bytes).into()),
            _ if bytes.is_ascii() => Ok(OsStr::from_bytes(bytes).into()),
            Self::Known(encoding) => {
                let name = encoding.decode_without_bom_handling_and_without_replacement(bytes);
                let name = name.ok_or_else(|| {
                    Error::malformed(format!("is {}, in which a file name is not written", encoding.name()))
                });
                Ok(name.map_err(|e| e.field("encoding"))?.into_owned().into())
            }
            Self::Other(name) => {
                let what = format!("a file name in the encoding {name} cannot be read");
                Err(Error::unsupported(what).field("encoding"))
            }
        }
    }

    /// The text that `bytes` mean, for people to read.
    pub(crate) fn text(&self, bytes: &[u8]) -> String {
        match self {
            Self::Known(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
            _ => String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    /// The name, where it is not that of plain bytes.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Bytes => None,
            Self::Known(encoding) => Some(encoding.name()),
            Self::Other(name) => Some(name),
        }
    }
}

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
        assert_eq!(Encoding::named(b"UTF-8").path(latin).unwrap().as_os_str().as_bytes(), latin);
    }

    #[test]
    fn names_of_other_hosts_are_read_as_they_wrote_them() {
        for (label, bytes, name) in [
            ("Shift_JIS", &b"\x83\x66\x83\x42\x83\x58\x83\x4e.vmdk"[..], "ディスク.vmdk"),
            ("GBK", b"\xb4\xc5\xc5\xcc.vmdk", "磁盘.vmdk"),
            ("Big5", b"\xba\xcf\xba\xd0.vmdk", "磁碟.vmdk"),
            ("EUC-KR", b"\xb5\xf0\xbd\xba\xc5\xa9.vmdk", "디스크.vmdk"),
            ("windows-1251", b"\xe4\xe8\xf1\xea.vmdk", "диск.vmdk"),
        ] {
            let encoding = Encoding::named(label.as_bytes());
            assert_eq!(encoding.path(bytes).unwrap(), Path::new(name), "{label}");
            assert_eq!(encoding.text(bytes), name);
        }
    }

    #[test]
    fn a_name_that_cannot_be_read_is_an_error_and_ascii_is_none() {
        let wrong = Encoding::named(b"Shift_JIS").path(b"\x83").unwrap_err();
        assert_eq!((wrong.kind(), wrong.field_name()), (ErrorKind::Malformed, Some("encoding")));
        for label in ["x-unheard-of", "UTF-16LE"] {
            let other = Encoding::named(label.as_bytes());
            assert_eq!(other.path(b"M\xfcll").unwrap_err().kind(), ErrorKind::Unsupported);
            assert_eq!(other.path(b"plain").unwrap(), Path::new("plain"));
        }
    }
}
