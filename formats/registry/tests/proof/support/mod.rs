//! What the tests share: disks, recipes for images, other programs, and comparisons.

pub(crate) mod compare;
pub(crate) mod corpus;
pub(crate) mod disks;
pub(crate) mod engine;
pub(crate) mod faulty;
pub(crate) mod kinds;
pub(crate) mod libyal;
pub(crate) mod mount;
pub(crate) mod qemu;
pub(crate) mod say;

/// What a helper returns: tests end with the error of what they need.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
