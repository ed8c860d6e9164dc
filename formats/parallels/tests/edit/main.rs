//! Editing of Parallels images, of random layouts against plain byte vectors, with QEMU as a second reader and writer.

// All of it is for tests, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod edits;
#[cfg(test)]
mod images;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod resize;
#[cfg(test)]
mod space;

use proptest::test_runner::Config;

/// The configuration of a property that `cases` cases are enough for; `PROPTEST_CASES` asks for more.
pub(crate) fn config(cases: u32) -> Config {
    imgfmt_core::property_config!(cases)
}
