//! What is done with images, one verb a file: functions from paths to results, for programs and services.

pub(crate) mod compare;
pub(crate) mod convert;
mod ends;
pub(crate) mod files;
pub(crate) mod hash;
pub(crate) mod info;
pub(crate) mod input;
#[cfg(feature = "inside")]
pub(crate) mod inside;
pub(crate) mod map;
pub(crate) mod measure;
mod measuring;
pub(crate) mod open;
mod output;
pub(crate) mod replay;
pub(crate) mod request;
