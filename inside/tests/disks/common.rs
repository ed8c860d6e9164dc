//! Disks to look at.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::PlainImage;
use imgfmt_core::{FileStorage, Limits, MemoryStorage};
use imgfmt_inside::{Inside, look};

/// Looks at a disk in memory.
pub(crate) fn look_at(bytes: &[u8]) -> Inside {
    look(&PlainImage::new(Arc::new(MemoryStorage::new(bytes))), &Limits::default()).expect("memory can be read")
}

/// Looks at a disk in a file.
pub(crate) fn look_at_file(path: &Path) -> Inside {
    let storage = FileStorage::open(path).expect("it is there");
    look(&PlainImage::new(Arc::new(storage)), &Limits::default()).expect("files can be read")
}

/// The codes of the findings.
pub(crate) fn codes(inside: &Inside) -> Vec<&'static str> {
    inside.findings.iter().map(|finding| finding.code).collect()
}

/// A new file of `len` bytes without content.
pub(crate) fn empty_file(path: &Path, len: u64) {
    std::fs::File::create(path).and_then(|file| file.set_len(len)).expect("there is room");
}

/// Copies the file at `from` into the one at `to`, from byte `at` on, leaving out what is zero.
pub(crate) fn embed(from: &Path, to: &Path, at: u64) {
    let mut source = std::fs::File::open(from).expect("it is there");
    let mut target = std::fs::OpenOptions::new().write(true).open(to).expect("it is there");
    let mut block = vec![0; 1 << 16];
    let mut next = at;
    loop {
        let len = source.read(&mut block).expect("it can be read");
        if len == 0 {
            return;
        }
        if block[..len].iter().any(|&byte| byte != 0) {
            target.seek(SeekFrom::Start(next)).expect("it is a file");
            target.write_all(&block[..len]).expect("there is room");
        }
        next += len as u64;
    }
}
