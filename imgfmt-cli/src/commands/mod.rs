//! The commands, one a file: arguments are resolved, handed to the library, and its answer is printed.

pub(crate) mod amend;
pub(crate) mod bench;
pub(crate) mod bitmap;
pub(crate) mod check;
pub(crate) mod commit;
pub(crate) mod compact;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod create;
pub(crate) mod dd;
pub(crate) mod hash;
pub(crate) mod help;
pub(crate) mod info;
pub(crate) mod map;
pub(crate) mod measure;
pub(crate) mod rebase;
pub(crate) mod replay;
pub(crate) mod resize;
pub(crate) mod snapshot;
