//! Pieces of text: sizes, times, and names that come from files.

use std::borrow::Cow;

use serde_json::Value;

/// A number of bytes in three digits and a binary unit, as `qemu-img` shows it.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = 0;
    // Four digits never show: from 1000 on, the next unit takes over.
    while unit + 1 < UNITS.len() && u128::from(bytes) >= 1000 << (10 * unit) {
        unit += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = bytes as f64 / (1u64 << (10 * unit)) as f64;
    let decimals = match value {
        _ if bytes == 0 || value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ if value >= 1.0 => 2,
        _ => 3,
    };
    let digits = format!("{value:.decimals$}");
    let digits = if decimals == 0 { &digits } else { digits.trim_end_matches('0').trim_end_matches('.') };
    format!("{digits} {}", UNITS[unit])
}

/// A number of bytes both ways: `1 GiB (1073741824 bytes)`.
pub(crate) fn exact_size(bytes: u64) -> String {
    format!("{} ({bytes} bytes)", size(bytes))
}

/// Text from a file, with control characters shown and not sent: they could speak to the terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() });
    Cow::Owned(escaped.collect())
}

/// Seconds since 1970 as `2026-01-31 23:59:59`, in UTC.
pub(crate) fn date(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / DAY);
    let clock = clock(seconds % DAY);
    format!("{year:04}-{month:02}-{day:02} {clock}")
}

/// Seconds as `23:59:59`; hours go on beyond a day.
pub(crate) fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Appends the members of an object or list as indented `key: value` lines.
pub(crate) fn tree(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| branch(out, &key.replace('-', " "), value, depth)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| branch(out, &format!("[{i}]"), value, depth))
        }
        _ => {}
    }
}

/// Appends one member of a tree.
fn branch(out: &mut String, key: &str, value: &Value, depth: usize) {
    let key = printable(key);
    let indent = "    ".repeat(depth);
    match value {
        Value::Object(_) | Value::Array(_) => {
            out.push_str(&format!("{indent}{key}:\n"));
            tree(out, value, depth + 1);
        }
        Value::String(text) if text.is_empty() => out.push_str(&format!("{indent}{key}:\n")),
        Value::String(text) => out.push_str(&format!("{indent}{key}: {}\n", printable(text))),
        other => out.push_str(&format!("{indent}{key}: {other}\n")),
    }
}

/// Year, month and day of the day that is `days` after 1970-01-01, by the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Counted in eras of 400 years from 0000-03-01 on, so that the leap day ends a year.
    let days = days + DAYS_TO_1970;
    let (era, day) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// Units of sizes.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
/// Seconds of a day.
const DAY: u64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;
/// Days of 400 years.
const DAYS_OF_ERA: u64 = 146_097;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "0.977 KiB"),
            (1 << 10, "1 KiB"),
            (200_704, "196 KiB"),
            (262_656, "256 KiB"),
            (328_192, "320 KiB"),
            (3 << 29, "1.5 GiB"),
            (i64::MAX as u64, "8 EiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        assert_eq!(exact_size(1 << 30), "1 GiB (1073741824 bytes)");
    }

    #[test]
    fn dates_know_leap_years() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_795_193_961, "2026-11-20 16:59:21"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(date(seconds), text);
        }
        assert!(!date(u64::MAX).is_empty());
    }

    #[test]
    fn what_speaks_to_terminals_is_shown() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(printable("größe"), "größe");
    }

    #[test]
    fn a_tree_is_indented() {
        let mut out = String::new();
        tree(&mut out, &serde_json::json!({"a-b": 1, "list": [{"c": "x\ty"}], "no": false}), 1);
        assert_eq!(out, "    a b: 1\n    list:\n        [0]:\n            c: x\\ty\n    no: false\n");
    }
}
