//! Every kind of image that can be read converts to every kind that can be written.

use std::path::Path;

use imgfmt::{Beneath, ConvertRequest, Options};

use super::support::Outcome;
use super::support::compare::{holds, open, whole_sectors};
use super::support::disks::runs;
use super::support::engine::Recipe;
use super::support::qemu::QemuImg;

#[test]
fn every_readable_kind_converts_to_every_writable_one() -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let bytes = whole_sectors(&runs().bytes);
    std::fs::write(folder.path().join("disk.raw"), &bytes)?;
    qemu.run(folder.path(), &["convert", "-f", "raw", "-O", "qcow2", "disk.raw", "base.qcow2"])?;
    for (number, kind) in READABLE.iter().enumerate() {
        let name = format!("source-{number}");
        qemu.make(folder.path(), "disk.raw", kind, &name)?;
        every_target(folder.path(), &name, kind, &bytes).map_err(|e| format!("{kind} → {e}"))?;
    }
    // An image that holds nothing, and shows what lies below.
    qemu.run(folder.path(), &["create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "overlay"])?;
    every_target(folder.path(), "overlay", "overlay", &bytes).map_err(|e| format!("overlay → {e}").into())
}

/// Converts the image called `source` to everything, and reads that.
fn every_target(folder: &Path, source: &str, kind: &str, bytes: &[u8]) -> Outcome {
    let mut gate = Beneath::new();
    gate.allow(folder)?;
    let target = folder.join("target");
    for recipe in WRITABLE {
        let mut request = ConvertRequest::new(folder.join(source), &target, recipe.format);
        // Raw is what has no other name.
        request.sources.iter_mut().for_each(|source| source.format = kind.contains("raw").then(|| "raw".to_owned()));
        request.options = Options::parse(recipe.options)?;
        request.compress = recipe.compress;
        request.access.gate = &gate;
        imgfmt::convert(&request).map_err(|e| format!("{recipe}: {e:?}"))?;
        let image = open(&target, Some(recipe.format))?;
        holds(&image, bytes).map_err(|e| format!("{recipe}: {e}"))?;
    }
    Ok(())
}

/// What is read: as `qemu-img convert` makes it.
const READABLE: &[&str] = &[
    "-O raw",
    "-O raw -S 0",
    "-O qcow2",
    "-O qcow2 -o compat=0.10",
    "-O qcow2 -o cluster_size=512",
    "-O qcow2 -o cluster_size=2M",
    "-O qcow2 -o preallocation=metadata",
    "-O qcow2 -c",
    "-O qcow2 -c -o cluster_size=4k",
    "-O qcow2 -c -o compression_type=zstd",
    "-O vmdk -o subformat=monolithicSparse",
    "-O vmdk -o subformat=monolithicSparse,zeroed_grain=on",
    "-O vmdk -o subformat=monolithicFlat",
    "-O vmdk -o subformat=twoGbMaxExtentSparse",
    "-O vmdk -o subformat=twoGbMaxExtentFlat",
    "-O vmdk -o subformat=streamOptimized",
];
/// What is written.
const WRITABLE: &[Recipe] = &[
    Recipe::raw(""),
    Recipe::raw("preallocation=full"),
    Recipe::qcow2(""),
    Recipe::qcow2("compat=0.10"),
    Recipe::qcow2("cluster_size=512,refcount_bits=1"),
    Recipe::qcow2("cluster_size=2M,refcount_bits=64"),
    Recipe::qcow2("preallocation=metadata,lazy_refcounts=on"),
    Recipe::qcow2("preallocation=full"),
    Recipe::qcow2("").compressed(),
    Recipe::qcow2("cluster_size=4k").compressed(),
    Recipe::qcow2("cluster_size=2M,compression_level=1").compressed(),
    Recipe::qcow2("compression_type=zstd").compressed(),
    Recipe::qcow2("compression_window=4k").compressed(),
];
