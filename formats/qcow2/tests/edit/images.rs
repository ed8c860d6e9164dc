//! Images to be edited.

use std::path::PathBuf;
use std::sync::Arc;

use imgfmt_core::conformance::{Edited, PlainImage};
use imgfmt_core::convert::Convert;
use imgfmt_core::{Backing, CreateRequest, Format, MemoryStorage, MemoryTarget, Options, ParentName, Secrets, Target};
use imgfmt_qcow2::Qcow2;

/// No options.
static NO_OPTIONS: Options = Options::new();

/// What an image is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Options.
    pub(crate) options: &'static str,
    /// Whether clusters are compressed.
    pub(crate) compress: bool,
    /// Whether there is a backing file.
    pub(crate) backed: bool,
}

/// The kinds of images.
pub(crate) const KINDS: &[Kind] = &[
    Kind { options: "cluster_size=512", compress: false, backed: false },
    Kind { options: "cluster_size=4k,refcount_bits=1", compress: false, backed: false },
    Kind { options: "cluster_size=1k,refcount_bits=64", compress: true, backed: false },
    Kind { options: "cluster_size=4k,compat=0.10", compress: true, backed: false },
    Kind { options: "cluster_size=4k,compat=0.10", compress: false, backed: true },
    Kind { options: "cluster_size=2k,refcount_bits=8", compress: true, backed: true },
    Kind { options: "cluster_size=16k,extended_l2=on", compress: false, backed: false },
    Kind { options: "cluster_size=16k,extended_l2=on", compress: true, backed: true },
    Kind { options: "cluster_size=64k", compress: true, backed: false },
];

/// Guest bytes of a disk: data, zeros, data again, not in whole clusters.
pub(crate) fn disk(size: usize) -> Vec<u8> {
    (0..size).map(|at| if at / 5000 % 3 == 1 { 0 } else { u8::try_from(at / 512 % 250 + 1).unwrap() }).collect()
}

/// The files of an image of that kind: the image `top`, and what it builds on.
pub(crate) fn files(kind: &Kind, size: usize) -> Vec<(String, Vec<u8>)> {
    let target = Arc::new(MemoryTarget::new());
    let options = Options::parse(kind.options).unwrap();
    let name = ParentName { name: PathBuf::from("base"), format: Some("raw".to_owned()) };
    let backing = Backing { name, size: size as u64, ..Backing::default() };
    let request = CreateRequest {
        compress: kind.compress,
        backing: kind.backed.then_some(&backing),
        ..CreateRequest::new(size as u64, &options)
    };
    let writer = Qcow2.create(Arc::clone(&target) as Arc<dyn Target>, &request).unwrap();
    let image = PlainImage::new(Arc::new(MemoryStorage::new(disk(size))));
    // With a backing file, nothing is in the image itself.
    let absent_from = kind.backed.then_some(0);
    Convert { absent_from, ..Convert::default() }.run(&image, writer).unwrap();
    let mut files = vec![("top".to_owned(), target.to_vec())];
    if kind.backed {
        files.push(("base".to_owned(), disk(size)));
    }
    files
}

/// The image in `files`, for the kit.
pub(crate) fn edited<'a>(files: &'a [(String, Vec<u8>)], secrets: &'a Secrets) -> Edited<'a> {
    Edited { format: &Qcow2, files, name: "top", options: &NO_OPTIONS, secrets, size_unit: 512, shrinks: true }
}
