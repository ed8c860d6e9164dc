#![doc = include_str!("../README.md")]

mod formats;
mod verbs;

pub use formats::{FORMATS, WRAPPERS};
pub use imgfmt_core::*;
#[cfg(feature = "inside")]
pub use imgfmt_inside as inside;
pub use verbs::amend::{amend, amend_options_of};
pub use verbs::bench::{BenchRequest, BenchResult, bench};
pub use verbs::bitmap::{BitmapAction, change_bitmap};
pub use verbs::check::{CheckReport, CheckRequest, check};
pub use verbs::commit::{CommitRequest, Committed, commit};
pub use verbs::compact::{CompactRequest, Compacted, WHERE_IT_IS, compact};
pub use verbs::compare::{CompareRequest, ComparingError, compare};
pub use verbs::convert::{convert, convert_piped};
pub use verbs::create::{CreateImage, Created, create};
pub use verbs::dd::{DdRequest, dd, dd_piped};
pub use verbs::files::ImageFile;
pub use verbs::hash::{HashRequest, hash};
pub use verbs::info::{ImageInfo, InfoRequest, chain_info, info};
#[cfg(feature = "inside")]
pub use verbs::inside::look_inside;
pub use verbs::map::{MapEntry, map};
pub use verbs::measure::{MeasureRequest, MeasureSource, Measured, measure};
pub use verbs::open::{Access, FilePart, format_of_name, open, open_layer, open_layers, open_options_of, options_of};
pub use verbs::probe::probe;
pub use verbs::rebase::{RebaseRequest, Rebased, rebase};
pub use verbs::replay::replay;
pub use verbs::request::{Bitmaps, ConvertRequest, ConvertSummary, Pipes, Source};
pub use verbs::resize::{ResizeRequest, Resized, SizeChange, WOULD_SHRINK, resize};
pub use verbs::snapshot::{SnapshotAction, snapshot, snapshots};

/// The example of the project's first page, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FirstPage;
