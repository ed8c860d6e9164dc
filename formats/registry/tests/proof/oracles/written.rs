//! Everything that is written here passes `qemu-img check`, and holds the same bytes for `qemu-img` and libqcow.

use std::path::Path;
use std::sync::Mutex;

use imgfmt::Options;
use imgfmt::conformance::Disk;

use crate::support::Outcome;
use crate::support::compare::{hash_of, whole_sectors};
use crate::support::disks::{mixed, small};
use crate::support::engine::Recipe;
use crate::support::libyal::Libyal;
use crate::support::qemu::QemuImg;

#[test]
fn plain_qcow2_is_whole_and_the_same_for_others() -> Outcome {
    judge(&[
        Recipe::qcow2(""),
        Recipe::qcow2("compat=0.10"),
        Recipe::qcow2("cluster_size=512"),
        Recipe::qcow2("cluster_size=4k"),
        Recipe::qcow2("cluster_size=2M"),
        Recipe::qcow2("compat=0.10,cluster_size=2M"),
        Recipe::qcow2("lazy_refcounts=on"),
    ])
}

#[test]
fn qcow2_of_every_refcount_width_is_whole_and_the_same_for_others() -> Outcome {
    judge(&[
        Recipe::qcow2("refcount_bits=1"),
        Recipe::qcow2("refcount_bits=2,cluster_size=512").compressed(),
        Recipe::qcow2("refcount_bits=4,cluster_size=4k"),
        Recipe::qcow2("refcount_bits=8,cluster_size=512"),
        Recipe::qcow2("refcount_bits=16,cluster_size=4k").compressed(),
        Recipe::qcow2("refcount_bits=32"),
        // 64 clusters of 512 bytes to a refcount block: even the small disks take several.
        Recipe::qcow2("refcount_bits=64,cluster_size=512"),
    ])
}

#[test]
fn compressed_qcow2_is_whole_and_the_same_for_others() -> Outcome {
    judge(&[
        Recipe::qcow2("").compressed(),
        Recipe::qcow2("compat=0.10").compressed(),
        Recipe::qcow2("compression_level=1").compressed(),
        Recipe::qcow2("compression_level=9,cluster_size=4k").compressed(),
        Recipe::qcow2("compression_window=4k").compressed(),
        Recipe::qcow2("cluster_size=2M").compressed(),
        Recipe::qcow2("refcount_bits=64,cluster_size=4k").compressed(),
        Recipe::qcow2("refcount_bits=64,cluster_size=512").compressed(),
        Recipe::qcow2("compression_type=zstd").compressed(),
        Recipe::qcow2("compression_type=zstd,compression_level=12,cluster_size=4k,lazy_refcounts=on").compressed(),
        Recipe::qcow2("compression_type=zstd,cluster_size=2M").compressed(),
    ])
}

#[test]
fn preallocated_qcow2_is_whole_and_the_same_for_others() -> Outcome {
    judge(&[
        Recipe::qcow2("preallocation=metadata"),
        Recipe::qcow2("preallocation=metadata,cluster_size=512,refcount_bits=64"),
        Recipe::qcow2("preallocation=falloc,cluster_size=4k"),
        Recipe::qcow2("preallocation=full,compat=0.10"),
    ])
}

#[test]
fn qcow2_with_a_backing_file_is_whole_and_the_same_for_others() -> Outcome {
    let backed = |recipe: Recipe| Recipe { backing: Some(BASE), ..recipe };
    judge(&[
        backed(Recipe::qcow2("")),
        backed(Recipe::qcow2("compat=0.10,cluster_size=4k")),
        backed(Recipe::qcow2("cluster_size=512").compressed()),
        backed(Recipe::qcow2("compression_type=zstd").compressed()),
    ])
}

#[test]
fn raw_is_the_disk_to_the_byte() -> Outcome {
    let folder = tempfile::tempdir()?;
    for disk in disks() {
        for recipe in ["", "preallocation=off", "preallocation=falloc", "preallocation=full"].map(Recipe::raw) {
            let path = folder.path().join("disk.raw");
            recipe.write(&disk.image(), &path)?;
            assert!(std::fs::read(&path)? == disk.bytes, "{recipe}, {}: the bytes differ", disk.name);
        }
    }
    Ok(())
}

/// Writes every disk by every recipe and lets the others judge.
fn judge(recipes: &[Recipe]) -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    let libyal = Mutex::new(Libyal::find()?);
    for disk in disks() {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join(DISK), whole_sectors(&disk.bytes))?;
        // What shows through where it must not: a disk of zeros hides all of it.
        let base = Disk { bytes: vec![BASE_BYTE; whole_sectors(&disk.bytes).len()], ..disk.clone() };
        let base = Disk { data: std::iter::once(0..base.bytes.len() as u64).collect(), ..base };
        Recipe::qcow2("").write(&base.image(), &folder.path().join(BASE))?;
        for recipe in recipes {
            judge_one(qemu, &libyal, folder.path(), recipe, &disk)
                .map_err(|e| format!("{recipe}, {}: {e}", disk.name))?;
        }
    }
    Ok(())
}

/// Writes `disk` into `folder` by `recipe` and lets the others judge.
fn judge_one(qemu: QemuImg, libyal: &Mutex<Option<Libyal>>, folder: &Path, recipe: &Recipe, disk: &Disk) -> Outcome {
    let path = folder.join("disk.qcow2");
    recipe.write(&disk.image(), &path)?;
    qemu.check(&path)?;
    qemu.compare(&path, "qcow2", &folder.join(DISK))?;
    let mut libyal = libyal.lock().map_err(|_| "another test has failed")?;
    let Some(libyal) = libyal.as_mut() else { return Ok(()) };
    let read = libyal.qcow2(&path, recipe.backing.map(|name| folder.join(name)).as_deref());
    match (beyond_libqcow(recipe, disk), read) {
        (None, Ok(found)) if found == hash_of(&as_libqcow_reads(recipe, disk, &std::fs::read(&path)?)) => Ok(()),
        (Some(complaint), Err(error)) if error.to_string().contains(complaint) => Ok(()),
        (expected, found) => Err(format!("libqcow: {found:?}, expected is {expected:?}").into()),
    }
}

/// What libqcow says about an image that it cannot read: one with Zstandard, or of a disk without a byte.
fn beyond_libqcow(recipe: &Recipe, disk: &Disk) -> Option<&'static str> {
    if recipe.options.contains("zstd") {
        return Some("unsupported incompatible features flags: 0x00000008");
    }
    disk.bytes.is_empty().then_some("invalid level1 table size value out of bounds")
}

/// The bytes that libqcow finds in `file`. It does not know the zero flag of version 3: a cluster whose entry is that
/// flag alone it reads at host byte 0, where the header is.
fn as_libqcow_reads(recipe: &Recipe, disk: &Disk, file: &[u8]) -> Vec<u8> {
    let mut bytes = whole_sectors(&disk.bytes);
    if recipe.backing.is_none() || recipe.options.contains("compat=0.10") {
        return bytes;
    }
    let size = Options::parse(recipe.options).and_then(|options| options.size("cluster_size", 65_536));
    let cluster_len = usize::try_from(size.unwrap_or(0)).unwrap_or(0).max(512);
    let zeros = bytes.chunks_mut(cluster_len).filter(|cluster| cluster.iter().all(|byte| *byte == 0));
    zeros.for_each(|cluster| cluster.copy_from_slice(&file[..cluster.len()]));
    bytes
}

/// All disks.
fn disks() -> Vec<Disk> {
    let mut disks = small();
    disks.push(mixed());
    disks
}

/// The raw file that has what the image shall have.
const DISK: &str = "disk.raw";
/// The backing file of images that have one.
const BASE: &str = "base.qcow2";
/// What the backing file is full of.
const BASE_BYTE: u8 = 0xbb;
