//! Numbers and text in buffers; what lies outside of one is 0 or empty.

use std::fmt::Write as _;

/// Two bytes, the little end first.
pub(crate) fn le16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

/// Four bytes, the little end first.
pub(crate) fn le32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// Four bytes, the big end first.
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    le32(bytes, at).swap_bytes()
}

/// `len` bytes from `at` on, as far as they are there.
pub(crate) fn part(bytes: &[u8], (at, len): (usize, usize)) -> &[u8] {
    let at = at.min(bytes.len());
    &bytes[at..at.saturating_add(len).min(bytes.len())]
}

/// Text of one byte a character, without the filling at its end; what is no printable ASCII is replaced.
pub(crate) fn ascii(bytes: &[u8]) -> String {
    tidy(bytes.iter().map(|&byte| if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER }))
}

/// Text of two bytes a character, the big end first, without the filling at its end.
pub(crate) fn ucs2(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    tidy(char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)))
}

/// A string of UDF: a byte that says how wide its characters are, and in the last byte how much of the field is used.
/// ECMA-167, 1/7.2.12; UDF 2.1.3.
pub(crate) fn dstring(field: &[u8]) -> String {
    let Some((&used, field)) = field.split_last() else { return String::new() };
    match field.get(..usize::from(used)).unwrap_or(field) {
        [8, text @ ..] => tidy(text.iter().map(|&byte| char::from(byte))),
        [16, text @ ..] => ucs2(text),
        _ => String::new(),
    }
}

/// A date of 16 digits and a zone, or nothing where it is not given or none. ECMA-119, 8.4.26.1.
pub(crate) fn date(field: &[u8]) -> Option<String> {
    let (&zone, digits) = field.split_last()?;
    let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    if digits.len() != 16 || digits.bytes().all(|byte| byte == b'0') {
        return None;
    }
    let mut text = format!("{}-{}-{}T", &digits[..4], &digits[4..6], &digits[6..8]);
    let _ = write!(text, "{}:{}:{}.{}", &digits[8..10], &digits[10..12], &digits[12..14], &digits[14..]);
    let minutes = i32::from(i8::from_le_bytes([zone])) * 15;
    let (sign, minutes) = if minutes < 0 { ('-', -minutes) } else { ('+', minutes) };
    let _ = write!(text, "{sign}{:02}:{:02}", minutes / 60, minutes % 60);
    Some(text)
}

/// Text that can be printed: nothing that moves a cursor or turns the direction of reading, and no filling at its end.
fn tidy(chars: impl Iterator<Item = char>) -> String {
    let text: String = chars.collect();
    let text = text.trim_end_matches(['\0', ' ']);
    text.chars().map(|char| if is_harmless(char) { char } else { char::REPLACEMENT_CHARACTER }).collect()
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
    fn text_loses_its_filling_and_what_is_not_harmless() {
        assert_eq!(ascii(b"CDROM   \0\0"), "CDROM");
        assert_eq!(ascii(b"a\x1b[2Jb\xff "), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(ucs2(b"\0a\x20\x2e\0b\0 "), "a\u{fffd}b");
        assert_eq!(dstring(b"\x08Linux\0\0\x06"), "Linux");
        assert_eq!(dstring(b"\x10\0U\0D\0\0\x05"), "UD");
        assert_eq!(dstring(b"\x08L\xff"), "L");
        assert_eq!(dstring(b""), "");
    }

    #[test]
    fn dates_are_given_or_not() {
        assert_eq!(date(b"2021013015000100\x04").as_deref(), Some("2021-01-30T15:00:01.00+01:00"));
        assert_eq!(date(b"2021013015000100\xec").as_deref(), Some("2021-01-30T15:00:01.00-05:00"));
        assert_eq!(date(b"0000000000000000\0"), None);
        assert_eq!(date(b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(date(b"2021"), None);
    }
}
