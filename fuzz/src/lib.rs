//! The harness that all fuzz targets share, so that a target is a line that names a format.
//!
//! | function | input | what must hold |
//! |---|---|---|
//! | [`open_and_read_everything`] | an image | a value or an error; no panic, no hang, no memory that the limits forbid |
//! | [`open_every_state`] | an image | the same for its snapshots, its bitmaps and its description |
//! | [`open_beside`] | an image, and behind it the file that it names | the same, through a gate that admits that file |
//! | [`Writing::check`] | a disk and options | what is written reads back, and is the same for any number of threads |
//! | [`Coding::check`] | a unit or a stream | what is encoded decodes to itself; any stream decodes or is refused |
//! | [`check_and_repair`] | an image | what could be read before a repair reads the same after it, and repairs come to an end |
//! | [`edit_a_little`] | an image | what is written in place reads back, or the image is refused |
//! | [`stream_everything`] | an image, as from a pipe | parts ascend and are there; what is no stream comes back whole |
//! | [`unwrap_everything`] | a file that may hold images | the same for what takes it off, within the bounds of temporary files |
//! | [`talk_to_nbd_client`], [`talk_to_nbd_server`] | what the other side says | an answer or an error, of no more bytes than were asked for |
//! | [`look_inside`] | a disk | partition tables and signatures are found, or none |
//! | [`vhdx_from`] | changes to a VHDX file | a file whose checksums are right, for the others to open |
//!
//! Some targets do not look for crashes alone: [`agrees_with_itself`] compares what an image says in different ways,
//! and [`converts_as_it_reads`] what the engine makes of it.

mod agree;
mod beside;
mod check;
mod codec;
mod convert;
mod inside;
mod nbd;
mod small;
mod states;
mod stream;
mod unwrap;
mod vhdx;
mod write;

pub use agree::agrees_with_itself;
pub use beside::open_beside;
pub use check::{check_and_repair, edit_a_little};
pub use codec::Coding;
pub use convert::converts_as_it_reads;
use imgfmt_core::Format;
use imgfmt_core::conformance::survive;
pub use inside::look_inside;
pub use nbd::{talk_to_nbd_client, talk_to_nbd_server};
pub use states::open_every_state;
pub use stream::stream_everything;
pub use unwrap::unwrap_everything;
pub use vhdx::{open_vhdx_beside_parent, vhdx_from};
pub use write::Writing;

/// Does everything with `bytes` that a reader does with an image, with a gate that denies.
pub fn open_and_read_everything(format: &dyn Format, bytes: &[u8]) {
    survive(format, bytes);
}
