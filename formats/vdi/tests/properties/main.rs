//! Properties of VDI over random disks and random layouts, against plain byte vectors.

// All of it is for tests, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod build;
#[cfg(test)]
mod check;
#[cfg(test)]
mod edit;
#[cfg(test)]
mod edited;
#[cfg(test)]
mod read;
#[cfg(test)]
mod repair;
#[cfg(test)]
mod resize;
#[cfg(test)]
mod write;

use proptest::test_runner::Config;

/// The configuration of a property that `cases` cases are enough for; `PROPTEST_CASES` asks for more.
pub(crate) fn config(cases: u32) -> Config {
    imgfmt_core::property_config!(cases)
}
