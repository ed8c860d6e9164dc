#![doc = include_str!("../README.md")]

mod formats;
mod verbs;

pub use formats::{FORMATS, WRAPPERS};
pub use imgfmt_core::*;
pub use verbs::convert::{ConvertRequest, ConvertSummary, Source, convert};
pub use verbs::files::ImageFile;
pub use verbs::info::{ImageInfo, chain_info, info};
pub use verbs::open::{Access, open, open_layer, open_layers, options_of};

/// The example of the project's first page, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FirstPage;
