//! What is done with images, one verb a file: functions from paths to results, for programs and services.

pub(crate) mod amend;
mod backing;
pub(crate) mod bench;
pub(crate) mod bitmap;
pub(crate) mod check;
pub(crate) mod commit;
mod commit_plan;
pub(crate) mod compact;
mod compact_plan;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod create;
pub(crate) mod dd;
mod edited;
mod ends;
pub(crate) mod files;
pub(crate) mod hash;
pub(crate) mod info;
pub(crate) mod input;
#[cfg(feature = "inside")]
pub(crate) mod inside;
mod kept;
pub(crate) mod map;
pub(crate) mod measure;
mod measuring;
pub(crate) mod open;
mod output;
mod pace;
mod patient;
pub(crate) mod probe;
pub(crate) mod rebase;
pub(crate) mod replay;
pub(crate) mod request;
pub(crate) mod resize;
pub(crate) mod snapshot;
mod store;
mod verify;
