//! Words for whoever watches, and the rule when something is missing.

use std::fmt::Write as _;

/// Prints a line; shown with `--nocapture`, or when a test fails.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Takes note that something is missing.
///
/// # Panics
///
/// Where `variable` is `1`, which forbids to go on without it.
pub(crate) fn skip(variable: &str, what: &str) {
    let required = std::env::var_os(variable).is_some_and(|value| value == "1");
    assert!(!required, "{what}, and {variable}=1 forbids to skip");
    say(&format!("skipped: {what}"));
}

/// An error and all that lie below it, as a person would see them.
pub(crate) fn whole_message(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut level = error;
    while let Some(below) = level.source() {
        let _ = write!(text, ": {below}");
        level = below;
    }
    text
}
