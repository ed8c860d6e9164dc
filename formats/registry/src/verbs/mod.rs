//! What is done with images, one verb a file: functions from paths to results, for programs and services.

pub(crate) mod amend;
pub(crate) mod bench;
pub(crate) mod bitmap;
pub(crate) mod check;
pub(crate) mod commit;
pub(crate) mod compact;
pub(crate) mod convert;
pub(crate) mod create;
pub(crate) mod dd;
mod ends;
pub(crate) mod files;
pub(crate) mod info;
pub(crate) mod input;
#[cfg(feature = "inside")]
pub(crate) mod inside;
pub(crate) mod open;
mod output;
pub(crate) mod rebase;
pub(crate) mod replay;
pub(crate) mod request;
pub(crate) mod resize;
pub(crate) mod snapshot;
