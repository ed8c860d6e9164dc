//! Images to be edited.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::conformance::{Edited, Files};
use imgfmt_core::{Backing, CreateRequest, Form, Format, MemoryTarget, Options, ParentName, Piece, Secrets, Target};
use imgfmt_vhdx::Vhdx;

/// One MiB.
pub(crate) const MIB: u64 = 1 << 20;

/// No options.
static NO_OPTIONS: Options = Options::new();

/// The file of a disk of `size` bytes that holds these runs of a byte, at whole units of 64 KiB, in order. What is between
/// them is the parent's, or zero.
pub(crate) fn image(options: &str, size: u64, backing: Option<&Backing>, runs: &[(Range<u64>, u8)]) -> Vec<u8> {
    let target = Arc::new(MemoryTarget::new());
    let options = Options::parse(options).unwrap();
    let request = CreateRequest { backing, ..CreateRequest::new(size, &options) };
    let writer = Vhdx.create(Arc::clone(&target) as Arc<dyn Target>, &request).unwrap();
    let mut guest = 0;
    let mut store = |end: u64, fill: Option<u8>| {
        while guest < end {
            let idle = if backing.is_some() { Form::Absent } else { Form::Zero };
            let piece = Piece { guest, len: end - guest, form: if fill.is_some() { Form::Plain } else { idle } };
            let placed = writer.place(&piece).unwrap();
            if let Some(fill) = fill {
                let piece = Piece { len: placed.len, ..piece };
                writer.store(&piece, placed.host, &vec![fill; placed.len as usize]).unwrap();
            }
            guest += placed.len;
        }
    };
    for (run, fill) in runs {
        store(run.start, None);
        store(run.end, Some(*fill));
    }
    store(size, None);
    writer.finish().unwrap();
    target.to_vec()
}

/// The file `bytes` called `name`, as the parent of another.
pub(crate) fn backing(name: &str, bytes: &[u8]) -> Backing {
    let mut files = Files::default();
    files.add(name, bytes.to_vec());
    let disk = files.open(&Vhdx, name).unwrap();
    let identities = imgfmt_core::Image::describe(&disk).identities;
    let size = imgfmt_core::Image::size(&disk);
    let name = ParentName { name: name.into(), format: Some("vhdx".to_owned()) };
    Backing { name, identities, size, ..Backing::default() }
}

/// A base of `3.5` MiB without zeros, and a layer over it with whole blocks, parts of blocks, and nothing of one.
pub(crate) fn layers(options: &str) -> Vec<(String, Vec<u8>)> {
    let unit = 64 << 10;
    let runs = [(0..MIB, 0x11), (MIB + unit..MIB + 3 * unit, 0x22), (3 * MIB..3 * MIB + unit, 0x33)];
    layers_of(options, 7 * MIB / 2, &runs)
}

/// A base of less than two blocks without zeros, and a layer over it with a part of its first block.
pub(crate) fn small_layers(options: &str) -> Vec<(String, Vec<u8>)> {
    let unit = 64 << 10;
    layers_of(options, MIB + 2 * unit, &[(unit..3 * unit, 0x22)])
}

/// A base of `size` bytes without zeros, and a layer over it that holds these runs of a byte.
fn layers_of(options: &str, size: u64, runs: &[(Range<u64>, u8)]) -> Vec<(String, Vec<u8>)> {
    let base = image(options, size, None, &[(0..size, 0xb5)]);
    let parent = backing("base.vhdx", &base);
    let top = image(options, size, Some(&parent), runs);
    vec![("top.vhdx".to_owned(), top), ("base.vhdx".to_owned(), base)]
}

/// A disk alone, as files.
pub(crate) fn alone(options: &str, size: u64, runs: &[(Range<u64>, u8)]) -> Vec<(String, Vec<u8>)> {
    vec![("top.vhdx".to_owned(), image(options, size, None, runs))]
}

/// The first of `files`, to be edited.
pub(crate) fn edited(files: &[(String, Vec<u8>)], size_unit: u64) -> Edited<'_> {
    let secrets: &'static Secrets = Box::leak(Box::default());
    Edited { format: &Vhdx, files, name: &files[0].0, options: &NO_OPTIONS, secrets, size_unit, shrinks: true }
}
