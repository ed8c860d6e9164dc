//! Sizes and numbers as `qemu-img` takes them.

use std::ffi::OsStr;
use std::ops::RangeInclusive;

use super::fault::Fault;

/// Why a text is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is no number, or its suffix is none.
    Text,
    /// It is negative, or too large.
    Range,
}

/// A number of bytes: decimal with an optional fraction, or hexadecimal, with an optional suffix by powers of 1024.
pub(crate) fn bytes(text: &str) -> Result<u64, Wrong> {
    number(text, 0)
}

/// A number of bytes where `shift` says what a number without suffix is counted in.
fn number(text: &str, shift: u32) -> Result<u64, Wrong> {
    let text = text.trim_start();
    if let Some(rest) = text.strip_prefix('-') {
        return Err(match number(rest, shift) {
            Ok(_) | Err(Wrong::Range) => Wrong::Range,
            Err(Wrong::Text) => Wrong::Text,
        });
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return hexadecimal(digits);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => shift,
        "b" => 0,
        suffix => 10 * (1 + SUFFIXES.iter().position(|known| *known == suffix).ok_or(Wrong::Text)? as u32),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || digits == "." || !is_number(whole) || !is_number(fraction) {
        return Err(Wrong::Text);
    }
    // Bytes have no fractions, but for one that is nothing.
    if shift == 0 && fraction.bytes().any(|digit| digit != b'0') {
        return Err(Wrong::Text);
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| Wrong::Range)? };
    let whole = whole.checked_mul(1 << shift).ok_or(Wrong::Range)?;
    in_range(whole + part(fraction, shift))
}

/// The bytes that the digits behind the point stand for, rounded.
fn part(digits: &str, shift: u32) -> u128 {
    let digits = &digits[..digits.len().min(18)];
    let value: u128 = digits.parse().unwrap_or(0);
    let scale = 10u128.pow(u32::try_from(digits.len()).unwrap_or(0));
    ((value << shift) + scale / 2) / scale
}

/// A hexadecimal number, which has no suffix.
fn hexadecimal(digits: &str) -> Result<u64, Wrong> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Wrong::Text);
    }
    in_range(u128::from_str_radix(digits, 16).map_err(|_| Wrong::Range)?)
}

/// A number that QEMU can count.
fn in_range(value: u128) -> Result<u64, Wrong> {
    u64::try_from(value).ok().filter(|value| *value <= MAX_SIZE).ok_or(Wrong::Range)
}

/// The size that the user calls `what`.
pub(crate) fn size(text: &OsStr, what: &str) -> Result<u64, Fault> {
    within(text, what, 0..=MAX_SIZE)
}

/// The number of things that the user calls `what`, which takes no suffix and no fraction as sizes do.
pub(crate) fn count(text: &OsStr, what: &str) -> Result<u64, Fault> {
    let shown = text.to_string_lossy();
    let digits = shown.trim_start().trim_start_matches(['+', '-']);
    let is_hexadecimal = digits.starts_with("0x") || digits.starts_with("0X");
    if !is_hexadecimal && !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new(format!("Invalid {what} specified: '{shown}'.")));
    }
    size(text, what)
}

/// The number that the user calls `what`, which has to be in `range`.
pub(crate) fn within(text: &OsStr, what: &str, range: RangeInclusive<u64>) -> Result<u64, Fault> {
    let shown = text.to_string_lossy();
    let (least, most) = (*range.start(), *range.end());
    match bytes(&shown) {
        Ok(value) if range.contains(&value) => Ok(value),
        Err(Wrong::Text) => Err(Fault::new(format!("Invalid {what} specified: '{shown}'."))),
        Ok(_) | Err(Wrong::Range) => {
            Err(Fault::new(format!("Invalid {what} specified. Must be between {least} and {most}.")))
        }
    }
}

/// The largest size that QEMU counts.
pub(crate) const MAX_SIZE: u64 = i64::MAX as u64;
/// The suffixes, by powers of 1024.
const SUFFIXES: [&str; 6] = ["k", "m", "g", "t", "p", "e"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_qemu_img_reads_them() {
        for (text, size) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("1k", 1024),
            ("1K", 1024),
            ("1.5G", 3 << 29),
            ("0.1k", 102),
            ("1.", 1),
            ("1.0", 1),
            (".5M", 1 << 19),
            ("0x10", 16),
            ("+1M", 1 << 20),
            ("9223372036854775807", MAX_SIZE),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "k", "foo", "1kk", "1.5", "1.5B", "0x", "0x1k", "1 M", ".", "1.x"] {
            assert_eq!(bytes(text), Err(Wrong::Text), "{text}");
        }
        for text in ["-5", "-1k", "8E", "9E", "9223372036854775808", "99999999999999999999999999999999999999999999E"] {
            assert_eq!(bytes(text), Err(Wrong::Range), "{text}");
        }
    }
}
