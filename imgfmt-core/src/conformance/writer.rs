//! Contracts of writers.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use super::disks::Disk;
use super::{Always, Kit, Plain, check_image, check_truncations, open};
use crate::convert::Convert;
use crate::format::{Backing, CreateRequest, Format};
use crate::image::Image;
use crate::info::ParentName;
use crate::options::Options;
use crate::storage::MemoryStorage;
use crate::target::{MemoryTarget, Target};

/// A way in which images are written.
#[derive(Clone, Copy, Debug)]
pub struct Variant<'a> {
    /// Options as on a command line.
    pub options: &'a str,
    /// Whether units are compressed.
    pub compress: bool,
    /// Whether the image builds on a backing file, which then shows nowhere.
    pub backed: bool,
    /// The disk is as large as this many bytes divide.
    pub sector_len: u64,
}

impl<'a> Variant<'a> {
    /// Images with these options, neither compressed nor with a backing file.
    #[must_use]
    pub const fn new(options: &'a str) -> Self {
        Self { options, compress: false, backed: false, sector_len: 1 }
    }
}

/// Writes `disk` with 1, 2 and 7 threads, compares the files, reads them back and cuts them short.
///
/// # Panics
///
/// Where a contract is broken.
pub fn check_writer(kit: &Kit<'_>, variant: &Variant<'_>, disk: &Disk) {
    let name = format!("{} {variant:?}, {}", kit.format.name(), disk.name);
    let file = write(kit, variant, &disk.image(), 1);
    for threads in [2, 7] {
        let other = write(kit, variant, &disk.image(), threads);
        assert!(other == file, "{name}: {threads} threads write another file than one");
    }
    let mut guest = disk.bytes.clone();
    let size = (guest.len() as u64).next_multiple_of(variant.sector_len);
    guest.resize(usize::try_from(size).expect("a test disk fits into memory"), 0);
    // A backing file full of noise shows wherever the image forgets to hide it.
    let backing = Always(Arc::new(MemoryStorage::new(vec![0xbb; guest.len()])));
    let image = open(kit.format, &file, &backing).unwrap_or_else(|error| panic!("{name}: {error}"));
    check_image(&image, Some(&guest), &name);
    if kit.size_is_stored && !variant.backed && file.len().max(guest.len()) <= MAX_CUT_LEN {
        check_truncations(kit, &file, &guest, &name);
    }
}

/// Writes `image` with `threads` threads and returns the file.
///
/// # Panics
///
/// Where it cannot be written.
#[must_use]
pub fn write(kit: &Kit<'_>, variant: &Variant<'_>, image: &dyn Image, threads: usize) -> Vec<u8> {
    let target = Arc::new(MemoryTarget::new());
    let options = Options::parse(variant.options).expect("a variant has valid options");
    let name = ParentName { name: PathBuf::from("base"), format: Some(Plain.name().to_owned()) };
    let backing = Backing { name, size: image.size(), ..Backing::default() };
    let request = CreateRequest {
        compress: variant.compress,
        backing: Some(&backing).filter(|_| variant.backed),
        ..CreateRequest::new(image.size(), &options)
    };
    let writer = kit.format.create(Arc::clone(&target) as Arc<dyn Target>, &request);
    let writer = writer.unwrap_or_else(|error| panic!("{variant:?}: {error}"));
    let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
    let convert = Convert { threads, ..Convert::default() };
    convert.run(image, writer).unwrap_or_else(|error| panic!("{variant:?}: {error}"));
    target.to_vec()
}

/// Longest file and largest disk that are cut at many lengths: larger ones would only take longer.
const MAX_CUT_LEN: usize = 3 << 20;
