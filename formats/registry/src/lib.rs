#![doc = include_str!("../README.md")]

mod formats;
mod verbs;

pub use formats::{FORMATS, WRAPPERS};
pub use imgfmt_core::*;
#[cfg(feature = "inside")]
pub use imgfmt_inside as inside;
pub use verbs::compare::{CompareRequest, ComparingError, compare};
pub use verbs::convert::{convert, convert_piped};
pub use verbs::files::ImageFile;
pub use verbs::hash::{HashRequest, hash};
pub use verbs::info::{ImageInfo, InfoRequest, chain_info, info};
#[cfg(feature = "inside")]
pub use verbs::inside::look_inside;
pub use verbs::map::{MapEntry, map};
pub use verbs::measure::{MeasureRequest, MeasureSource, Measured, measure};
pub use verbs::open::{Access, format_of_name, open, open_layer, open_layers, open_options_of, options_of};
pub use verbs::replay::replay;
pub use verbs::request::{Bitmaps, ConvertRequest, ConvertSummary, Pipes, Source};

/// The example of the project's first page, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FirstPage;
