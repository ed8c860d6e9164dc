//! What comes before the header of a member and is about it: pax headers, and long names of GNU.
//!
//! A record is `LEN KEY=VALUE\n`, with its own length in decimal digits. What counts here is `path` and `size`; a key that
//! stands there twice, a global one of the two, two headers for one member, and a `size` that differs from a header that
//! could hold it are refused, for readers differ in what they make of them.

use std::collections::HashSet;

use imgfmt_core::{Error, Result};

use super::header::{Header, Kind, OCTAL_MAX};

/// What is known about the next member.
#[derive(Debug, Default)]
pub(super) struct Extension {
    /// Its name.
    pub(super) name: Option<Vec<u8>>,
    /// Its size.
    size: Option<u64>,
    /// Whether there was a pax header.
    is_extended: bool,
    /// What it says of holes.
    sparse: Sparse,
}

/// What a pax header says of a file with holes: GNU tar's manual, "Storing Sparse Files", PAX Format, Version 1.0.
#[derive(Debug, Default)]
struct Sparse {
    /// `GNU.sparse.major` and `GNU.sparse.minor`.
    version: (Option<u64>, Option<u64>),
    /// `GNU.sparse.realsize`: bytes of the file with its holes.
    real_size: Option<u64>,
    /// `GNU.sparse.name`: its name.
    name: Option<Vec<u8>>,
}

impl Extension {
    /// Takes out what is known, for the member that it is about.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Takes in a long name of GNU.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where there is a name already.
    pub(super) fn long_name(&mut self, bytes: &[u8]) -> Result<()> {
        let name = bytes.strip_suffix(b"\0").unwrap_or(bytes);
        if name.contains(&0) {
            return Err(Error::malformed("goes on behind its end").field("long name"));
        }
        self.set_name(name)
    }

    /// Takes in a pax header.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed), [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for links and
    /// sparse files.
    pub(super) fn records(&mut self, bytes: &[u8]) -> Result<()> {
        if self.is_extended {
            return Err(Error::malformed("two pax headers for one member"));
        }
        self.is_extended = true;
        let mut seen = HashSet::new();
        for record in Records(bytes) {
            let (key, value) = record?;
            if !seen.insert(key) {
                return Err(Error::malformed(format!("the pax header has {key} twice")));
            }
            match key {
                "path" => self.set_name(value)?,
                "size" => self.size = Some(decimal(value)?),
                "linkpath" => return Err(Error::unsupported("a link").field("linkpath")),
                "GNU.sparse.major" => self.sparse.version.0 = Some(decimal(value)?),
                "GNU.sparse.minor" => self.sparse.version.1 = Some(decimal(value)?),
                "GNU.sparse.realsize" => self.sparse.real_size = Some(decimal(value)?),
                "GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
                _ if key.starts_with("GNU.sparse") => return Err(old_sparse()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes a name.
    fn set_name(&mut self, name: &[u8]) -> Result<()> {
        match self.name.replace(name.to_vec()) {
            None => Ok(()),
            Some(_) => Err(Error::malformed("two names for one member")),
        }
    }

    /// Bytes of the member behind `header`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where the two differ, and the header could have said it.
    pub(super) fn size_of(&self, header: &Header) -> Result<u64> {
        match self.size {
            Some(size) if size != header.size && (size <= OCTAL_MAX || header.kind != Kind::File) => {
                let what = format!("is {size} in the pax header, and {} in the header", header.size);
                Err(Error::malformed(what).field("size"))
            }
            Some(size) => Ok(size),
            None => Ok(header.size),
        }
    }

    /// Bytes of the file with its holes, where it has some. Its name then is another one than `path` says, for those who
    /// do not know of holes.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where something is missing,
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for older ways to say it.
    pub(super) fn real_size(&mut self, header: &Header) -> Result<Option<u64>> {
        let sparse = std::mem::take(&mut self.sparse);
        match (sparse.version, sparse.real_size, sparse.name) {
            ((None, None), None, None) => Ok(None),
            ((Some(1), Some(0)), Some(real_size), Some(name)) if header.kind == Kind::File => {
                self.name = Some(name);
                Ok(Some(real_size))
            }
            ((Some(1), Some(0)), ..) => Err(Error::malformed("is not all there").field("GNU.sparse")),
            _ => Err(old_sparse()),
        }
    }

    /// Refuses what is about a member that does not come.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where there is something.
    pub(super) fn check_used(&self, at: u64) -> Result<()> {
        if self.is_extended || self.name.is_some() {
            return Err(Error::malformed("the member is missing that the last header is about").at(at));
        }
        Ok(())
    }
}

/// Refuses a global pax header that says something about each member.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed), [`Unsupported`](imgfmt_core::ErrorKind::Unsupported).
pub(super) fn check_global(bytes: &[u8]) -> Result<()> {
    for record in Records(bytes) {
        let (key, _) = record?;
        if ["path", "size", "linkpath"].contains(&key) || key.starts_with("GNU.sparse") {
            return Err(Error::unsupported(format!("the global pax header has {key}")));
        }
    }
    Ok(())
}

/// A sparse file of versions 0.0 and 0.1, which tar has not written since 2006.
fn old_sparse() -> Error {
    Error::unsupported("is not of version 1.0").field("GNU.sparse")
}

/// A decimal number.
pub(super) fn decimal(value: &[u8]) -> Result<u64> {
    let wrong = || Error::malformed("is not a number").field("size");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)
}

/// The records of a pax header.
struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    /// The first record; takes it off.
    fn first(&mut self) -> Option<(&'a str, &'a [u8])> {
        let blank = self.0.iter().take(20).position(|&byte| byte == b' ')?;
        let digits = std::str::from_utf8(&self.0[..blank]).ok()?;
        let len = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<usize>().ok())??;
        let (record, rest) = self.0.split_at_checked(len)?;
        let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&byte| byte == b'=')?;
        self.0 = rest;
        Some((std::str::from_utf8(&record[..equals]).ok()?, &record[equals + 1..]))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a str, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = self.first().ok_or_else(|| Error::malformed("a record of a pax header is damaged"));
        if record.is_err() {
            self.0 = &[];
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_their_length() {
        let records: Vec<_> = Records(b"9 path=a\n13 mtime=1.5\n").map(Result::unwrap).collect();
        assert_eq!(records, [("path", &b"a"[..]), ("mtime", b"1.5")]);
        for wrong in [&b"11 path=a\n"[..], b"8 path=a\n", b"9 path a\n", b"path=a\n", b"+9 path=a\n", b"9"] {
            assert!(Records(wrong).any(|record| record.is_err()), "{wrong:?}");
        }
    }
}
