#![doc = include_str!("../README.md")]

pub mod bitmap;
pub mod chain;
pub mod codec;
mod compose;
pub mod concat;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod convert;
pub mod error;
pub mod extent;
pub mod format;
pub mod gate;
pub mod image;
pub mod info;
pub mod limits;
pub mod open;
pub mod options;
pub mod output;
pub mod probe;
pub mod read;
pub mod replay;
pub mod secrets;
pub mod storage;
pub mod stream;
pub mod target;
pub mod wrap;
pub mod writer;

pub use bitmap::{Bitmap, BitmapInfo};
pub use chain::Chain;
pub use codec::Codec;
pub use concat::Concat;
pub use error::{Error, ErrorKind, Result};
pub use extent::{Encoded, Extent, ExtentKind, ExtentSink, SourceId};
pub use format::{Backing, CreateRequest, Format, OneFile, OpenContext, Opened, Parent, Siblings};
pub use gate::{Admitted, Beneath, DenyAll, Gate, Reference, Role};
pub use image::{Image, ImageExt};
pub use info::{ByteCounts, Description, Identity, ParentName};
pub use limits::Limits;
pub use open::{Layer, Opener, Unwrapped};
pub use options::{OptionSpec, Options};
pub use output::Output;
pub use probe::Head;
pub use replay::{Replay, Replayed};
pub use secrets::Secrets;
#[cfg(feature = "mmap")]
pub use storage::MmapStorage;
pub use storage::{FileSlice, FileStorage, MemoryStorage, Pages, Segment, Storage, StorageExt, Window};
pub use stream::{ImageStream, StreamForm, StreamPart, Streamed};
pub use target::{FileTarget, MemoryTarget, PipeTarget, Target};
pub use wrap::{Contents, Member, Wrapper};
pub use writer::{Form, ImageWriter, Order, Piece, Placed, Shape};
