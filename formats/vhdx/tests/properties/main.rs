//! Any layout, any log, and any disk that is written, read as a byte vector would.

// All of it is for tests, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod build;
#[cfg(test)]
mod harm;
#[cfg(test)]
mod log;
#[cfg(test)]
mod medium;
#[cfg(test)]
mod read;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod write;

use proptest::test_runner::Config;

/// The configuration of a property that `cases` cases are enough for; `PROPTEST_CASES` asks for more.
pub(crate) fn config(cases: u32) -> Config {
    imgfmt_core::property_config!(cases)
}
