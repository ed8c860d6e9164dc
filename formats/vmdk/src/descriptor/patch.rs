//! Changing a descriptor where it is, in one write of one sector: cut at any time, it is the old one or the new one.

use std::ops::Range;

use imgfmt_core::{Error, Result};

use super::line::{key_and_rest, lines};
use super::{FIRST_LINE, text_of};
use crate::layout::SECTOR_LEN;

/// The bytes of a descriptor, and where they are.
#[derive(Clone, Debug)]
pub(crate) struct DescriptorText {
    /// The host byte at which it starts: at the start of a sector.
    pub(crate) at: u64,
    /// Its bytes, with what follows the text.
    pub(crate) bytes: Vec<u8>,
    /// Bytes that it may take.
    pub(crate) room: usize,
}

/// Bytes of the text that are to be replaced, and by what.
pub(crate) type Change = (Range<usize>, Vec<u8>);

/// What is to be written to change a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    /// The byte of the descriptor.
    pub(crate) at: usize,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

impl DescriptorText {
    /// Bytes of the text.
    fn text_len(&self) -> usize {
        let (start, text) = text_of(&self.bytes);
        text.len() + usize::try_from(start).unwrap_or(0)
    }

    /// The place of the value of `key`, without quotes, where the key is there once.
    pub(crate) fn value(&self, key: &str) -> Option<Range<usize>> {
        let line = self.line(key)?;
        let rest = key_and_rest(&self.bytes[line.clone()])?.1;
        let rest_at = line.end - rest.len();
        let quoted = rest.strip_prefix(b"\"").and_then(|rest| Some((1, rest.iter().position(|&byte| byte == b'"')?)));
        let plain = || (0, rest.iter().position(|&byte| byte == b'#' || byte == b' ').unwrap_or(rest.len()));
        let (from, len) = quoted.unwrap_or_else(plain);
        Some(rest_at + from..rest_at + from + len)
    }

    /// The line of `key` without the blanks around it, where the key is there once.
    pub(crate) fn line(&self, key: &str) -> Option<Range<usize>> {
        let (start, text) = text_of(&self.bytes);
        let is_it =
            |line: &[u8]| key_and_rest(line).is_some_and(|(found, _)| found.eq_ignore_ascii_case(key.as_bytes()));
        let mut found = lines(text).filter(|(_, line)| is_it(line));
        let (at, line) = found.next()?;
        let at = usize::try_from(start + at).ok()?;
        found.next().is_none().then_some(at..at + line.len())
    }

    /// The place of the size in the extent line that starts at byte `at`.
    pub(crate) fn sectors_of_line(&self, at: u64) -> Option<Range<usize>> {
        let at = usize::try_from(at).ok()?;
        let line = self.bytes.get(at..)?;
        let access = line.iter().position(u8::is_ascii_whitespace)?;
        let from = access + line[access..].iter().position(|byte| !byte.is_ascii_whitespace())?;
        let len = line[from..].iter().position(|byte| !byte.is_ascii_digit())?;
        Some(at + from..at + from + len)
    }

    /// What to write for all of `changes`, which ascend, or an error where one sector does not hold them.
    pub(crate) fn patch(&self, changes: &[Change]) -> Result<Patch> {
        let text_len = self.text_len();
        let small = self.whole(changes, text_len).or_else(|| self.within_a_sector(changes, text_len));
        small.ok_or_else(|| {
            Error::unsupported("the descriptor has no room for the change: it could not be made in one step")
        })
    }

    /// Takes over what has been written.
    pub(crate) fn apply(&mut self, patch: &Patch) {
        let end = patch.at + patch.bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[patch.at..end].copy_from_slice(&patch.bytes);
    }

    /// The whole text, where it takes one sector before and after.
    fn whole(&self, changes: &[Change], text_len: usize) -> Option<Patch> {
        let mut bytes = changed(&self.bytes[..text_len], changes, 0)?;
        // Empty lines at the end are what a change before has left.
        while bytes.len() > text_len && bytes.ends_with(b"\n\n") {
            bytes.pop();
        }
        if text_len > SECTOR || bytes.len() > SECTOR.min(self.room) {
            return None;
        }
        bytes.resize(bytes.len().max(text_len), b'\n');
        // What is left over behind the terminator does not come back.
        bytes.resize(bytes.len().max(SECTOR.min(self.bytes.len())), 0);
        Some(Patch { at: 0, bytes })
    }

    /// The one sector that the changes are in; what becomes longer takes the place of comments.
    fn within_a_sector(&self, changes: &[Change], text_len: usize) -> Option<Patch> {
        let at = changes.first()?.0.start / SECTOR * SECTOR;
        let end = (at + SECTOR).min(text_len);
        let mut bytes = changed(self.bytes.get(at..end)?, changes, at)?;
        let most = if end == text_len { SECTOR.min(self.room.saturating_sub(at)) } else { end - at };
        if bytes.len() < end - at {
            let first = changes.first()?;
            let behind = first.0.start - at + first.1.len();
            let line_end = behind + bytes[behind..].iter().position(|&byte| byte == b'\n' || byte == b'\r')?;
            let missing = end - at - bytes.len();
            bytes.splice(line_end..line_end, std::iter::repeat_n(b' ', missing));
        }
        if bytes.len() > most {
            shorten_comments(&mut bytes, at == 0, most);
        }
        (bytes.len() <= most).then_some(Patch { at, bytes })
    }
}

/// `text`, which starts at byte `at` of the descriptor, with `changes`; `None` where one of them lies outside.
fn changed(text: &[u8], changes: &[Change], at: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut next = 0;
    for (range, new) in changes {
        bytes.extend_from_slice(text.get(next..range.start.checked_sub(at)?)?);
        bytes.extend_from_slice(new);
        next = range.end.checked_sub(at)?;
    }
    bytes.extend_from_slice(text.get(next..)?);
    Some(bytes)
}

/// Takes bytes out of comments until no more than `most` are left, as far as there are any. The first line of a
/// descriptor stays, and so does what may go on outside of these bytes.
fn shorten_comments(bytes: &mut Vec<u8>, from_start: bool, most: usize) {
    let mut line =
        if from_start { 0 } else { bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1) };
    while let Some(len) = bytes.get(line..).and_then(|rest| rest.iter().position(|&byte| byte == b'\n')) {
        let text = &bytes[line..line + len];
        let first = text.get(..FIRST_LINE.len()).is_some_and(|start| start.eq_ignore_ascii_case(FIRST_LINE));
        let spare = if text.starts_with(b"#") && !first { len - 1 } else { 0 };
        let taken = spare.min(bytes.len().saturating_sub(most));
        bytes.drain(line + 1..line + 1 + taken);
        line += len - taken + 1;
    }
}

/// Bytes of a sector.
const SECTOR: usize = SECTOR_LEN as usize;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &str, room: usize) -> DescriptorText {
        let mut bytes = bytes.as_bytes().to_vec();
        bytes.resize(bytes.len().max(room.min(4096)), 0);
        DescriptorText { at: 512, bytes, room }
    }

    #[test]
    fn keys_and_sizes_are_found_where_they_are() {
        let found = text("# Disk\nCID = 12ab # x\nhint=\"a b\"\nRW 77 SPARSE \"x\"\n", 0);
        let at = |range: Range<usize>| String::from_utf8_lossy(&found.bytes[range]).into_owned();
        assert_eq!(at(found.value("cid").unwrap()), "12ab");
        assert_eq!(at(found.value("HINT").unwrap()), "a b");
        assert_eq!(at(found.line("hint").unwrap()), "hint=\"a b\"");
        let line = found.bytes.windows(2).position(|two| two == b"RW").unwrap() as u64;
        assert_eq!(at(found.sectors_of_line(line).unwrap()), "77");
        assert_eq!(text("a=1\na=1\n", 0).value("a"), None);
    }

    #[test]
    fn a_small_descriptor_is_written_whole() {
        let mut found = text("a=1\nb=2\n", 1024);
        let range = found.value("a").unwrap();
        let patch = found.patch(&[(range, b"1000".to_vec())]).unwrap();
        found.apply(&patch);
        assert_eq!((&found.bytes[..11], found.bytes[11]), (&b"a=1000\nb=2\n"[..], 0));
        let range = found.value("a").unwrap();
        found.apply(&found.patch(&[(range, b"5".to_vec())]).unwrap());
        assert_eq!(&found.bytes[..12], b"a=5\nb=2\n\n\n\n\0");
    }

    #[test]
    fn a_long_one_keeps_its_length_but_for_comments() {
        let long = format!("# Disk DescriptorFile\n# some words\nRW 1 SPARSE \"x\"\n{}", "k=v\n".repeat(300));
        let mut found = text(&long, 4096);
        let line = long.find("RW").unwrap() as u64;
        let change = |found: &DescriptorText, new: &str| {
            found.patch(&[(found.sectors_of_line(line).unwrap(), new.as_bytes().to_vec())])
        };
        let patch = change(&found, "1234").unwrap();
        assert_eq!((patch.at, patch.bytes.len()), (0, 512));
        assert!(patch.bytes.starts_with(b"# Disk DescriptorFile\n#me words\nRW 1234 SPARSE \"x\"\n"), "{patch:?}");
        assert!(change(&found, &"1".repeat(400)).is_err());
        found.apply(&patch);
        let at = found.bytes.windows(2).position(|two| two == b"RW").unwrap() as u64;
        let shorter = found.patch(&[(found.sectors_of_line(at).unwrap(), b"9".to_vec())]).unwrap();
        assert!(shorter.bytes.windows(19).any(|part| part == b"RW 9 SPARSE \"x\"   \n"), "{shorter:?}");
    }
}
