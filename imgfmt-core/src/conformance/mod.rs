//! The contracts as tests, for the `tests/conformance.rs` of every format.
//!
//! A contract that is added here reaches every format at once. The functions panic where a contract is
//! broken, as tests do.
//!
//! | contract | where |
//! |---|---|
//! | extents tile the disk, whatever the window | [`check_image`] |
//! | `read_at` agrees with the map, at any place and length | [`check_image`] |
//! | a truncated file is an error or the same bytes; never a panic, never silent zeros | [`check_truncations`] |
//! | the same bytes are written for 1, 2 and 7 threads | [`check_writer`] |
//! | what is written reads back, with every byte and every zero run | [`check_writer`] |
//! | edits in place read back as those of a byte vector would, and leave a whole image | [`check_edits`] |
//! | cut at any write, sectors are old or new, and repair mends the rest | [`check_cuts`], [`check_repair`] |
//! | a medium that fails loses nothing, and after a flush that failed nothing is written | [`check_faults`], [`check_change_faults`], [`check_repair`] |
//! | every file of `testdata/` gives what its manifest says | [`check_testdata`] |
//! | no bytes make a reader panic, hang, or use memory without bound | [`survive`](fn@survive), [`check_harm`] |

mod config;
mod disks;
mod editing;
mod failing;
mod faults;
mod files;
mod harm;
mod pipe;
mod plain;
mod reader;
mod recording;
mod secret;
mod survive;
mod testdata;
mod truncation;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use disks::{Disk, Fill, Noise, disks};
pub use editing::{
    Edited, Step, apply, apply_to_model, check_cuts, check_cuts_on_devices, check_deeply, check_edits, check_repair,
    random_steps,
};
pub use failing::{Done, Failing, Fault};
pub use faults::{check_change_faults, check_faults};
pub use files::Files;
pub use harm::check_harm;
pub use pipe::Pipe;
pub use plain::{Plain, PlainImage};
pub use reader::{check_image, check_samples, read_all};
pub use recording::Recording;
pub use secret::{CreateWithKeys, SECRET, WithSecret};
pub use survive::survive;
pub use testdata::{Content, Sample, bytes_of, check_testdata, content_of, whole_message};
pub use truncation::check_truncations;
pub use writer::{Variant, check_writer, write};

use crate::format::Format;
use crate::gate::{Admitted, DenyAll, Gate, Reference};
use crate::limits::Limits;
use crate::open::Opener;
use crate::storage::{MemoryStorage, Storage};
use crate::{Chain, Result};

/// What the kit needs to know of a format.
#[derive(Clone, Copy)]
pub struct Kit<'a> {
    /// The format.
    pub format: &'a dyn Format,
    /// A folder with valid images of the format, each a file of its own; skipped where it is not there.
    pub samples: Option<&'a Path>,
    /// The ways in which images are written.
    pub variants: &'a [Variant<'a>],
    /// Whether the file itself says how large the disk is, so that a truncated one cannot pass for whole.
    pub size_is_stored: bool,
}

/// Runs every contract that applies.
///
/// # Panics
///
/// Where a contract is broken.
pub fn check(kit: &Kit<'_>) {
    if let Some(folder) = kit.samples {
        check_samples(kit, folder);
    }
    for variant in kit.variants {
        for disk in disks() {
            check_writer(kit, variant, &disk);
        }
    }
}

/// Opens the image in `bytes` with its parents, which `gate` admits.
fn open(format: &dyn Format, bytes: &[u8], gate: &dyn Gate) -> Result<Chain> {
    let formats = [format, &Plain];
    let limits = Limits::default();
    let opener = Opener::new(&formats, gate, &limits);
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(bytes));
    opener.open(storage, None, Some(format.name()))
}

/// Opens an image that needs no other file.
fn open_alone(format: &dyn Format, bytes: &[u8]) -> Result<Chain> {
    open(format, bytes, &DenyAll)
}

/// Admits every name as the same raw bytes: the backing file of a variant.
#[derive(Debug)]
struct Always(Arc<dyn Storage>);

impl Gate for Always {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        Ok(Admitted { storage: Arc::clone(&self.0), path: reference.name.to_path_buf() })
    }

    fn beside(&self, _image: &Path) -> Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}
