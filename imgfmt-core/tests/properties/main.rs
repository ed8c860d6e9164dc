//! Properties of the core's own images and of the engine, over random layouts, against plain byte vectors.

// All of it is for tests, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod chain;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod concat;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod found;
#[cfg(test)]
mod hash;
#[cfg(test)]
mod layer;
#[cfg(test)]
mod noise;
#[cfg(test)]
mod recorder;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod salvage;
#[cfg(test)]
mod sink;
#[cfg(test)]
mod stream;

use proptest::test_runner::Config;

/// The configuration of a property that `cases` cases are enough for; `PROPTEST_CASES` asks for more.
pub(crate) fn config(cases: u32) -> Config {
    imgfmt_core::property_config!(cases)
}
