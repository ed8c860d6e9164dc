//! Numbers, identifiers and text in buffers; what lies outside of one is 0 or empty.

use std::fmt::Write as _;

/// `N` bytes at `at`; zeros where they are not there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// Two bytes, the little end first.
pub(crate) fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

/// Four bytes, the little end first.
pub(crate) fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

/// Eight bytes, the little end first.
pub(crate) fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// Two bytes, the big end first.
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

/// Four bytes, the big end first.
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

/// Eight bytes, the big end first.
pub(crate) fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array(bytes, at))
}

/// Whether `what` lies at `at`.
pub(crate) fn has(bytes: &[u8], at: usize, what: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(what))
}

/// Text of up to `len` bytes at `at`, up to the first 0; what is no UTF-8 or not harmless is replaced.
pub(crate) fn text(bytes: &[u8], at: usize, len: usize) -> String {
    let field = bytes.get(at..).unwrap_or_default();
    let field = &field[..field.len().min(len)];
    let field = field.split(|&byte| byte == 0).next().unwrap_or_default();
    tidy(String::from_utf8_lossy(field).chars())
}

/// Text of up to `units` units of two bytes at `at`, the little end first, up to the first 0.
pub(crate) fn utf16(bytes: &[u8], at: usize, units: usize) -> String {
    let field = bytes.get(at..).unwrap_or_default();
    let words = field.chunks_exact(2).take(units).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let words = words.take_while(|&word| word != 0);
    tidy(char::decode_utf16(words).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)))
}

/// A string of UDF in a field of `len` bytes at `at`: a byte that says how wide its characters are, and in the last byte how much
/// of the field is used. ECMA-167, 1/7.2.12; UDF 2.1.3.
pub(crate) fn dstring(bytes: &[u8], at: usize, len: usize) -> String {
    let Some((&used, field)) = bytes.get(at..at + len).and_then(<[u8]>::split_last) else { return String::new() };
    match field.get(..usize::from(used)).unwrap_or(field) {
        [8, narrow @ ..] => tidy(narrow.iter().map(|&byte| char::from(byte))),
        [16, wide @ ..] => {
            let words = wide.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            tidy(char::decode_utf16(words).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)))
        }
        _ => String::new(),
    }
}

/// A UUID whose bytes are in the order in which it is written; nothing where all are 0.
pub(crate) fn uuid(bytes: &[u8], at: usize) -> Option<String> {
    let raw: [u8; 16] = array(bytes, at);
    (raw != [0; 16]).then(|| hyphened(&raw))
}

/// A GUID, whose first three groups have their little end first.
pub(crate) fn guid(bytes: &[u8], at: usize) -> String {
    let mut raw: [u8; 16] = array(bytes, at);
    raw[..4].reverse();
    raw[4..6].reverse();
    raw[6..8].reverse();
    hyphened(&raw)
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Sixteen bytes in the groups of a UUID.
fn hyphened(raw: &[u8; 16]) -> String {
    let groups = [&raw[..4], &raw[4..6], &raw[6..8], &raw[8..10], &raw[10..]];
    groups.map(hex).join("-")
}

/// Text that can be printed: nothing that moves a cursor or turns the direction of reading, and no filling at its end.
fn tidy(chars: impl Iterator<Item = char>) -> String {
    let text: String = chars.collect();
    text.trim_end().chars().map(|char| if is_harmless(char) { char } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Whether a character does nothing but show.
fn is_harmless(char: char) -> bool {
    let turns =
        matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    !char.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_written_as_others_write_them() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(uuid(&bytes, 0).as_deref(), Some("00010203-0405-0607-0809-0a0b0c0d0e0f"));
        assert_eq!(guid(&bytes, 0), "03020100-0504-0706-0809-0a0b0c0d0e0f");
        assert_eq!(uuid(&[0; 16], 0), None);
    }

    #[test]
    fn text_ends_at_a_zero_and_shows_no_control_character() {
        assert_eq!(text(b"root\0junk", 0, 16), "root");
        assert_eq!(text(b"a\x1b[1mb\xff", 0, 7), "a\u{fffd}[1mb\u{fffd}");
        assert_eq!(utf16(b"E\0F\0I\0\0\0x\0", 0, 36), "EFI");
        assert_eq!((text(b"", 5, 5), le64(b"abc", 0)), (String::new(), 0));
    }
}
