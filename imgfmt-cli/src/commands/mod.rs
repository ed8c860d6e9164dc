//! The commands, one a file: arguments are resolved, handed to the library, and its answer is printed.

pub(crate) mod convert;
pub(crate) mod info;
pub(crate) mod replay;
