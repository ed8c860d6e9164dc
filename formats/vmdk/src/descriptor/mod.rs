//! The descriptor: the text that says what a disk consists of. VMware, "Virtual Disk Format 5.0", "The
//! Descriptor File".
//!
//! Read as loosely as those who write it: in any order, keys in any case, blanks anywhere. What two readers
//! could take for two things is refused: a key that is there twice with two values, words left over.

mod encoding;
mod extent;
mod line;
mod patch;

use imgfmt_core::{Error, Limits, Result};

pub(crate) use encoding::Encoding;
pub(crate) use extent::{ExtentLine, ExtentType};
use line::{key_and_rest, lines, value};
pub(crate) use patch::{Change, DescriptorText, Patch};

/// What a descriptor says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// `version`.
    pub(crate) version: Option<u32>,
    /// `CID`: changes with the content.
    pub(crate) cid: Option<u32>,
    /// `parentCID`: the parent's when the child was made.
    pub(crate) parent_cid: Option<u32>,
    /// `createType`.
    pub(crate) create_type: Option<String>,
    /// `parentFileNameHint`, as stored.
    pub(crate) parent_hint: Option<Vec<u8>>,
    /// `encoding`.
    pub(crate) encoding: Encoding,
    /// The extents in the order of their guest bytes.
    pub(crate) extents: Vec<ExtentLine>,
    /// All other keys and values, the disk data base among them.
    pub(crate) others: Vec<(String, String)>,
}

impl Descriptor {
    /// Reads a descriptor, which ends at the first zero byte or with `bytes`.
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let (start, text) = text_of(bytes);
        let mut keys = Vec::new();
        let mut descriptor = Self::default();
        for (at, line) in lines(text) {
            let at = start + at;
            let placed = |e: Error| e.field("line").at(at);
            if let Some(extent) = ExtentLine::parse(at, line).map_err(placed)? {
                descriptor.extents.push(extent);
                Limits::check("extents", descriptor.extents.len() as u64, limits.extents as u64)?;
            } else if let Some((key, rest)) = key_and_rest(line) {
                keys.push((at, key, rest));
                Limits::check("keys", keys.len() as u64, limits.items)?;
            }
        }
        // ESX keeps it in the disk data base.
        let encoding = [find(&keys, b"encoding")?, find(&keys, b"ddb.encoding")?].into_iter().flatten().next();
        descriptor.encoding = encoding.map_or_else(Encoding::default, |(_, name)| Encoding::named(name));
        descriptor.take_keys(&keys)?;
        Ok(descriptor)
    }

    /// Takes what the keys say.
    fn take_keys(&mut self, keys: &[Key<'_>]) -> Result<()> {
        let text = |value: &[u8]| self.encoding.text(value);
        self.version = number(keys, "version", 10)?;
        self.cid = number(keys, "CID", 16)?;
        self.parent_cid = number(keys, "parentCID", 16)?;
        self.create_type = find(keys, b"createType")?.map(|(_, value)| text(value));
        self.parent_hint = find(keys, b"parentFileNameHint")?.map(|(_, value)| value.to_vec());
        self.parent_hint = self.parent_hint.take().filter(|name| !name.is_empty());
        let others = keys.iter().filter(|(_, key, _)| !KNOWN.iter().any(|known| key.eq_ignore_ascii_case(known)));
        // Of keys that only inform, a value that breaks the rules is taken as it stands.
        self.others = others.map(|(_, key, rest)| (text(key), text(value(rest).unwrap_or(rest)))).collect();
        Ok(())
    }

    /// The value of `key` in the disk data base, where it is there and not empty. Some leave out `ddb.`.
    pub(crate) fn database(&self, key: &str) -> Option<&str> {
        let is_it = |found: &str| {
            let prefix = found.get(..DATABASE_PREFIX.len());
            let prefixed = prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(DATABASE_PREFIX));
            found[if prefixed { DATABASE_PREFIX.len() } else { 0 }..].eq_ignore_ascii_case(key)
        };
        let found = self.others.iter().find(|(found, _)| is_it(found));
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// A key's line: its place, the key, and what stands behind the `=`.
type Key<'a> = (u64, &'a [u8], &'a [u8]);

/// Why `bytes`, the start of a file, are a descriptor's, if they are.
///
/// Some leave out the first line, so its keys tell as well. The last rule is QEMU's, which would take such a
/// file for a descriptor whatever follows.
pub(crate) fn recognise(bytes: &[u8]) -> Option<&'static str> {
    let (_, text) = text_of(bytes);
    if text.trim_ascii_start().get(..FIRST_LINE.len()).is_some_and(|start| start.eq_ignore_ascii_case(FIRST_LINE)) {
        return Some("the line \"# Disk DescriptorFile\"");
    }
    let has = |wanted: &[u8]| {
        let mut keys = lines(text).filter_map(|(_, line)| key_and_rest(line));
        keys.any(|(key, _)| key.eq_ignore_ascii_case(wanted))
    };
    if has(b"createType") || (has(b"version") && has(b"CID")) {
        return Some("the keys of a descriptor");
    }
    let first = lines(text).next().map(|(_, line)| line);
    first
        .is_some_and(|line| [b"version=1", b"version=2", b"version=3"].iter().any(|key| line == *key))
        .then_some("the version of a descriptor")
}

/// The text of a descriptor and where it starts: behind a byte order mark, and up to a zero byte.
fn text_of(bytes: &[u8]) -> (u64, &[u8]) {
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let start = bytes.len() - text.len();
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    (start as u64, &text[..end])
}

/// The value of the key `wanted` and its place, where it is there.
fn find<'a>(keys: &[Key<'a>], wanted: &[u8]) -> Result<Option<(u64, &'a [u8])>> {
    let mut found = None;
    for &(at, _, rest) in keys.iter().filter(|(_, key, _)| key.eq_ignore_ascii_case(wanted)) {
        let value = value(rest).map_err(|e| e.field("line").at(at))?;
        match found {
            Some((_, first)) if first != value => {
                let what = format!("is there twice, with two values: {}", String::from_utf8_lossy(wanted));
                return Err(Error::malformed(what).field("key").at(at));
            }
            _ => found = Some((at, value)),
        }
    }
    Ok(found)
}

/// The number that the key `wanted` has, where it is there.
fn number(keys: &[Key<'_>], wanted: &'static str, radix: u32) -> Result<Option<u32>> {
    let Some((at, value)) = find(keys, wanted.as_bytes())? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value);
    let number = u32::from_str_radix(&text, radix).ok().filter(|_| !text.starts_with('+'));
    let what = || Error::malformed(format!("is {text:?}, no number of 32 bits")).field(wanted).at(at);
    number.ok_or_else(what).map(Some)
}

/// What a descriptor starts with.
const FIRST_LINE: &[u8] = b"# Disk DescriptorFile";
/// The UTF-8 byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What the keys of the disk data base start with.
const DATABASE_PREFIX: &str = "ddb.";
/// Keys that have a field of their own.
const KNOWN: [&[u8]; 6] = [b"version", b"CID", b"parentCID", b"createType", b"parentFileNameHint", b"encoding"];

#[cfg(test)]
mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;

    fn parse(text: &str) -> Result<Descriptor> {
        Descriptor::parse(text.as_bytes(), &Limits::default())
    }

    /// A descriptor that uses everything.
    const TEXT: &str = "# Disk DescriptorFile\nversion=1\nencoding=\"windows-1252\"\nCID=fffffffe\nparentCID=0badcafe\n\
        createType=\"custom\"\nparentFileNameHint=\"base.vmdk\"\n# Extent description\nRW 20 FLAT \"a.vmdk\" 0\nRW 5 ZERO\n\
        # The Disk Data Base\n#DDB\nddb.adapterType = \"ide\"\nuuid.image=\"x\"\nddb.comment=\"\"\n";

    #[test]
    fn a_descriptor_says_what_it_says() {
        let found = parse(TEXT).unwrap();
        assert_eq!((found.version, found.cid, found.parent_cid), (Some(1), Some(0xffff_fffe), Some(0x0bad_cafe)));
        assert_eq!(found.create_type.as_deref(), Some("custom"));
        assert_eq!(found.parent_hint.as_deref(), Some(&b"base.vmdk"[..]));
        assert_eq!(found.encoding, Encoding::Known(encoding_rs::WINDOWS_1252));
        assert_eq!(found.extents.len(), 2);
        assert_eq!(found.database("adaptertype"), Some("ide"));
        assert_eq!(found.database("uuid.image"), Some("x"));
        assert_eq!(found.database("comment"), None);
    }

    #[test]
    fn loose_writing_reads_the_same() {
        let plain = parse(TEXT).unwrap();
        let same_but_for_places = |text: &str| {
            let mut found = parse(text).unwrap();
            for (extent, like) in found.extents.iter_mut().zip(&plain.extents) {
                extent.at = like.at;
            }
            found == plain
        };
        assert!(same_but_for_places(&TEXT.replace('\n', "\r\n")));
        assert!(same_but_for_places(&TEXT.replace('\n', "  \n\n# comment\n")));
        assert!(same_but_for_places(&TEXT.replace('=', " = ")));
        assert!(same_but_for_places(&format!("\u{feff}{TEXT}\0\0 version=9")));
        assert!(same_but_for_places(&TEXT.replace("version=", "VERSION=").replace("RW 5 ZERO", "rw 5 zero")));
        assert!(same_but_for_places(&TEXT.replace("version=1", "version=1 # one\nversion=1")));
    }

    #[test]
    fn what_reads_in_two_ways_is_refused_with_its_place() {
        for (broken, at) in [
            ("CID=1\nCID=2", 6),
            ("CID=xyz", 0),
            ("CID=123456789", 0),
            ("a=1\ncreateType=\"x", 4),
            ("createType=\"x\" y", 0),
            ("version=+1", 0),
            ("\n RW x ZERO", 2),
        ] {
            let error = parse(broken).unwrap_err();
            assert_eq!((error.kind(), error.offset()), (ErrorKind::Malformed, Some(at)), "{broken}");
        }
    }

    #[test]
    fn more_extents_or_keys_than_the_limits_allow_are_refused() {
        let mut limits = Limits::default();
        limits.extents = 1;
        assert_eq!(Descriptor::parse(TEXT.as_bytes(), &limits).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn descriptors_are_told_from_other_text() {
        for text in [
            "# disk descriptorfile\n",
            "\u{feff}\n# Disk DescriptorFile",
            "a = 1\ncreatetype = \"x\"",
            "CID=1\n#\nversion = 4\n",
            "# x\n\nversion=2\n",
        ] {
            assert!(recognise(text.as_bytes()).is_some(), "{text}");
        }
        for text in ["", "version=1.0\n", "x=1\nversion=1\n", "# a comment\n", "CID=1\n", "\0version=1"] {
            assert!(recognise(text.as_bytes()).is_none(), "{text}");
        }
    }
}
