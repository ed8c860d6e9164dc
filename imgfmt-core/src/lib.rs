#![doc = include_str!("../README.md")]

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
pub mod storage;
pub mod target;
pub mod writer;

pub use chain::Chain;
pub use codec::Codec;
pub use concat::Concat;
pub use error::{Error, ErrorKind, Result};
pub use extent::{Encoded, Extent, ExtentKind, ExtentSink, SourceId};
pub use format::{CreateRequest, Format, OpenContext, Opened};
pub use gate::{Admitted, Beneath, DenyAll, Gate, Reference, Role};
pub use image::{Image, ImageExt};
pub use info::{ByteCounts, Description, ParentName};
pub use limits::Limits;
pub use open::{Layer, Opener};
pub use options::{OptionSpec, Options};
pub use output::Output;
pub use probe::Head;
#[cfg(feature = "mmap")]
pub use storage::MmapStorage;
pub use storage::{FileSlice, FileStorage, MemoryStorage, Segment, Storage, StorageExt, Window};
pub use target::{FileTarget, MemoryTarget, Target};
pub use writer::{Form, ImageWriter, Order, Piece, Placed, Shape};
