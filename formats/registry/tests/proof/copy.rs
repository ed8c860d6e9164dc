//! It makes no difference to the guest who copies: the kernel, or we.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use imgfmt::Image;
use imgfmt::conformance::{Disk, read_all};
use imgfmt::convert::{Convert, KernelCopy};

use super::support::Outcome;
use super::support::compare::{holds, open, whole_sectors};
use super::support::disks::{mixed, small};
use super::support::engine::Recipe;
use super::support::mount::{Mount, shared_bytes};
use super::support::qemu::QemuImg;
use super::support::say::say;

#[test]
fn the_kernel_copies_what_we_copy() -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let mut disks = small();
    disks.push(mixed());
    for disk in disks {
        let sources = sources(qemu, folder.path(), &disk)?;
        for name in sources {
            let source = open(&folder.path().join(name), (name == "odd.raw").then_some("raw"))?;
            for recipe in [
                Recipe::raw(""),
                Recipe::raw("preallocation=falloc"),
                Recipe::qcow2(""),
                Recipe::qcow2("cluster_size=512"),
                Recipe::qcow2("cluster_size=2M"),
                Recipe::qcow2("preallocation=full"),
            ] {
                both_ways(folder.path(), recipe, &source)
                    .map_err(|e| format!("{name} → {recipe}, {}: {e}", disk.name))?;
            }
        }
    }
    Ok(())
}

#[test]
fn runs_that_lie_off_every_block_border_are_copied_right() -> Outcome {
    let folder = tempfile::tempdir()?;
    // A raw disk within a file, by a flat extent that starts at its third sector.
    let disk = mixed();
    let sectors = disk.bytes.len() as u64 / 512;
    let file = File::create(folder.path().join("disk-flat.vmdk"))?;
    file.write_all_at(&[0xee; 1536], 0)?;
    file.write_all_at(&disk.bytes, 1536)?;
    std::fs::write(
        folder.path().join("disk.vmdk"),
        format!(
            "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\
             RW 129 FLAT \"disk-flat.vmdk\" 3\nRW {} FLAT \"disk-flat.vmdk\" 132\n",
            sectors - 129
        ),
    )?;
    let source = open(&folder.path().join("disk.vmdk"), None)?;
    holds(&source, &disk.bytes)?;
    for recipe in [Recipe::raw(""), Recipe::qcow2(""), Recipe::qcow2("cluster_size=512")] {
        both_ways(folder.path(), recipe, &source).map_err(|e| format!("{recipe}: {e}"))?;
    }
    Ok(())
}

#[test]
fn file_systems_that_share_blocks_share_them() -> Outcome {
    for kind in ["xfs", "btrfs"] {
        let Some(mount) = Mount::file_system(kind)? else { continue };
        let disk = mixed();
        std::fs::write(mount.path().join("disk.raw"), &disk.bytes)?;
        let raw = open(&mount.path().join("disk.raw"), Some("raw"))?;
        for (name, recipe) in [("out.raw", Recipe::raw("")), ("out.qcow2", Recipe::qcow2(""))] {
            let path = mount.path().join(name);
            recipe.write(&raw, &path)?;
            holds(&open(&path, Some(recipe.format))?, &disk.bytes).map_err(|e| format!("{kind}, {recipe}: {e}"))?;
            let shared = shared_bytes(&path)?;
            say(&format!("{kind}, {recipe}: {shared} of {} bytes are shared", disk.bytes.len()));
            assert!(shared > 8 << 20, "{kind}, {recipe}: only {shared} bytes are shared");
            // And the other way round, from what lies in clusters.
            let image = open(&path, Some(recipe.format))?;
            Recipe::raw("").write(&image, &mount.path().join("back.raw"))?;
            assert!(std::fs::read(mount.path().join("back.raw"))? == disk.bytes, "{kind}, {recipe}, back");
            assert!(shared_bytes(&mount.path().join("back.raw"))? > 8 << 20, "{kind}, {recipe}, back");
        }
        // What is written later in one is not seen in the other.
        File::options().write(true).open(mount.path().join("disk.raw"))?.write_all_at(&[9; 1 << 20], 1 << 20)?;
        assert!(std::fs::read(mount.path().join("out.raw"))? == disk.bytes, "{kind}");
    }
    Ok(())
}

/// Makes images of `disk` in `folder` whose bytes lie plainly in files, and returns their names.
fn sources(qemu: QemuImg, folder: &Path, disk: &Disk) -> Outcome<Vec<&'static str>> {
    std::fs::write(folder.join("odd.raw"), &disk.bytes)?;
    std::fs::write(folder.join("disk.raw"), whole_sectors(&disk.bytes))?;
    qemu.make(folder, "disk.raw", "-O qcow2", "disk.qcow2")?;
    qemu.make(folder, "disk.raw", "-O qcow2 -o cluster_size=512", "small.qcow2")?;
    let mut names = vec!["odd.raw", "disk.qcow2", "small.qcow2"];
    if !disk.bytes.is_empty() {
        qemu.make(folder, "disk.raw", "-O vmdk -o subformat=monolithicFlat", "flat.vmdk")?;
        qemu.make(folder, "disk.raw", "-O vmdk -o subformat=monolithicSparse", "sparse.vmdk")?;
        names.extend(["flat.vmdk", "sparse.vmdk"]);
    }
    Ok(names)
}

/// Converts `source` with the kernel and without, and compares the guest bytes.
fn both_ways(folder: &Path, recipe: Recipe, source: &dyn Image) -> Outcome {
    let bytes = read_all(source);
    let bytes = if recipe.format == "raw" { bytes } else { whole_sectors(&bytes) };
    for kernel_copy in [KernelCopy::Always, KernelCopy::Never] {
        let path = folder.join("copy");
        recipe.write_with(&Convert { kernel_copy, ..Convert::default() }, source, &path)?;
        holds(&open(&path, Some(recipe.format))?, &bytes).map_err(|e| format!("{kernel_copy:?}: {e}"))?;
    }
    Ok(())
}
