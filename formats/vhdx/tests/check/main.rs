//! What a check finds, and what a repair leaves.

// All of it is for tests, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
#[path = "../properties/build.rs"]
mod build;
#[cfg(test)]
mod found;
#[cfg(test)]
mod mended;
#[cfg(test)]
mod shelf;
#[cfg(test)]
mod support;
