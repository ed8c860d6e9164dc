//! The extent lines of a descriptor: `access size type ["name" [offset]]`.

use imgfmt_core::{Error, Result};

use super::line::Words;

/// One extent line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtentLine {
    /// The byte of the descriptor at which the line starts.
    pub(crate) at: u64,
    /// Whether the extent may be read at all.
    pub(crate) readable: bool,
    /// Whether it may be written.
    pub(crate) writable: bool,
    /// Its size in sectors.
    pub(crate) sectors: u64,
    /// What it is.
    pub(crate) kind: ExtentType,
    /// The name of its file, as stored.
    pub(crate) name: Vec<u8>,
    /// The sector of its file at which a flat extent starts.
    pub(crate) offset: u64,
}

/// The type of an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtentType {
    /// Guest bytes as they are.
    Flat,
    /// The same, on an ESX host.
    Vmfs,
    /// A sparse extent.
    Sparse,
    /// A sparse extent of ESX, of the old kind.
    VmfsSparse,
    /// A space-efficient sparse extent of ESX.
    SeSparse,
    /// Zeros, without a file.
    Zero,
    /// A type that is known and cannot be read.
    Foreign(&'static str),
}

impl ExtentType {
    /// The type called `word`.
    fn named(word: &[u8]) -> Option<Self> {
        let known = KNOWN.iter().find(|kind| word.eq_ignore_ascii_case(kind.name().as_bytes()));
        let foreign = || FOREIGN.iter().find(|name| word.eq_ignore_ascii_case(name.as_bytes()));
        known.copied().or_else(|| foreign().map(|name| Self::Foreign(name)))
    }

    /// The name as it stands in descriptors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flat => "FLAT",
            Self::Vmfs => "VMFS",
            Self::Sparse => "SPARSE",
            Self::VmfsSparse => "VMFSSPARSE",
            Self::SeSparse => "SESPARSE",
            Self::Zero => "ZERO",
            Self::Foreign(name) => name,
        }
    }
}

impl ExtentLine {
    /// Reads the line that starts at byte `at`; `None` where it is no extent line.
    pub(super) fn parse(at: u64, line: &[u8]) -> Result<Option<Self>> {
        let mut words = Words(line);
        let access = words.next()?.unwrap_or_default();
        let (readable, writable) = match ACCESS.iter().find(|(name, ..)| access.eq_ignore_ascii_case(name.as_bytes())) {
            Some(&(_, readable, writable)) => (readable, writable),
            None => return Ok(None),
        };
        let sectors = number(words.next()?, "size")?;
        let kind = words.next()?.unwrap_or_default();
        let kind = ExtentType::named(kind).ok_or_else(|| {
            Error::malformed(format!("has the type {:?}, which does not exist", String::from_utf8_lossy(kind)))
        })?;
        let name = words.next()?.map(<[u8]>::to_vec);
        let offset = words.next()?.map_or(Ok(0), |word| number(Some(word), "offset"))?;
        words.finish()?;
        if name.is_none() && kind != ExtentType::Zero {
            return Err(Error::malformed("names no file"));
        }
        Ok(Some(Self { at, readable, writable, sectors, kind, name: name.unwrap_or_default(), offset }))
    }
}

/// The number that `word` is.
fn number(word: Option<&[u8]>, what: &str) -> Result<u64> {
    let word = String::from_utf8_lossy(word.unwrap_or_default());
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    let number = word.parse().ok().filter(|_| digits);
    number.ok_or_else(|| Error::malformed(format!("has the {what} {word:?}, which is no number of 64 bits")))
}

/// Words that an extent line starts with, and whether the extent may be read, and written.
const ACCESS: [(&str, bool, bool); 3] = [("RW", true, true), ("RDONLY", true, false), ("NOACCESS", false, false)];
/// Types that are read.
const KNOWN: [ExtentType; 6] = [
    ExtentType::Flat,
    ExtentType::Vmfs,
    ExtentType::Sparse,
    ExtentType::VmfsSparse,
    ExtentType::SeSparse,
    ExtentType::Zero,
];
/// Types that cannot be read: devices of the host, and what only a vSAN has.
const FOREIGN: [&str; 3] = ["VMFSRDM", "VMFSRAW", "VSANSPARSE"];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<ExtentLine>> {
        ExtentLine::parse(7, line.as_bytes())
    }

    #[test]
    fn an_extent_line_says_what_it_says() {
        let line = parse("RW 20 FLAT \"a b.vmdk\" 5 # more").unwrap().unwrap();
        assert_eq!((line.at, line.readable, line.sectors, line.kind), (7, true, 20, ExtentType::Flat));
        assert_eq!((line.name.as_slice(), line.offset), (&b"a b.vmdk"[..], 5));
        let zero = parse("RDONLY 9 ZERO").unwrap().unwrap();
        assert_eq!((zero.kind, zero.name.len()), (ExtentType::Zero, 0));
        assert!(!parse("noaccess 1 flat \"x\"").unwrap().unwrap().readable);
        assert_eq!(parse("RW 1 SESPARSE \"x\"").unwrap().unwrap().kind.name(), "SESPARSE");
        assert_eq!(parse("CID=1").unwrap(), None);
    }

    #[test]
    fn broken_lines_are_errors() {
        for line in [
            "RW",
            "RW FLAT \"x\" 0",
            "RW -1 FLAT \"x\"",
            "RW +1 ZERO",
            "RW 99999999999999999999 ZERO",
            "RW 1",
            "RW 1 ROUND \"x\"",
            "RW 1 FLAT",
            "RW 1 FLAT \"x 0",
            "RW 1 FLAT \"x\" y",
            "RW 1 FLAT \"x\" 0 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
