//! Every kind of image that can be read converts to every kind that can be written.

use std::path::Path;
use std::sync::Mutex;

use super::support::Outcome;
use super::support::compare::{holds, whole_sectors};
use super::support::disks::runs;
use super::support::kinds::{Kind, Maker};
use super::support::qemu::QemuImg;

#[test]
fn every_readable_kind_converts_to_every_writable_one() -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    let bytes = whole_blocks(&runs().bytes);
    let (todo, wrong) = (Mutex::new(readable()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(maker) = { todo.lock().unwrap().pop() } {
                    let outcome = every_target(qemu, &maker, &bytes);
                    wrong.lock().unwrap().extend(outcome.err().map(|e| format!("{maker} → {e}")));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Makes an image, converts it to everything, and reads that.
fn every_target(qemu: QemuImg, maker: &Maker, bytes: &[u8]) -> Outcome {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("disk.raw"), bytes)?;
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    maker.make(qemu, &source)?;
    for kind in WRITABLE {
        kind.make(&source, maker.format(), maker.opened_with(), &target)?;
        let image = kind.open(&target).map_err(|e| format!("{kind}: {e}"))?;
        holds(&image, bytes).map_err(|e| format!("{kind}: {e}"))?;
    }
    overlay(folder.path(), &target)
}

/// Nothing but the last target is left behind, whatever files it has.
fn overlay(folder: &Path, _target: &Path) -> Outcome {
    for entry in folder.read_dir()? {
        let name = entry?.file_name().into_string().map_err(|_| "a name is no text")?;
        if name.ends_with(".part") {
            return Err(format!("{name} was left behind").into());
        }
    }
    Ok(())
}

/// `bytes` up to a whole block of 4096: what all formats can hold.
fn whole_blocks(bytes: &[u8]) -> Vec<u8> {
    let mut padded = whole_sectors(bytes);
    padded.resize(padded.len().next_multiple_of(4096), 0);
    padded
}

/// What is read: what `qemu-img convert` makes, what only we make, and both wrapped.
fn readable() -> Vec<Maker> {
    let qemu = [
        "-O raw",
        "-O raw -S 0",
        "-O qcow2",
        "-O qcow2 -o compat=0.10",
        "-O qcow2 -o cluster_size=512",
        "-O qcow2 -o cluster_size=2M",
        "-O qcow2 -o preallocation=metadata",
        "-O qcow2 -o extended_l2=on,cluster_size=128k",
        "-O qcow2 -c",
        "-O qcow2 -c -o cluster_size=4k",
        "-O qcow2 -c -o compression_type=zstd",
        "-O qcow",
        "-O vdi",
        "-O parallels",
        "-O parallels -o cluster_size=3k",
        "-O vmdk -o subformat=monolithicSparse",
        "-O vmdk -o subformat=monolithicSparse,zeroed_grain=on",
        "-O vmdk -o subformat=monolithicFlat",
        "-O vmdk -o subformat=twoGbMaxExtentSparse",
        "-O vmdk -o subformat=twoGbMaxExtentFlat",
        "-O vmdk -o subformat=streamOptimized",
        "-O vpc -o subformat=dynamic,force_size=on",
        "-O vpc -o subformat=fixed,force_size=on",
        "-O vhdx -o subformat=dynamic",
        "-O vhdx -o subformat=fixed",
        "-O vhdx -o subformat=dynamic,block_size=1M,block_state_zero=off",
    ];
    let stream = Kind::new("vmdk", "subformat=streamOptimized");
    let raw = Kind::new("raw", "");
    let packed = [
        Maker::Packed(raw, &["gzip", "-1"]),
        Maker::Packed(raw, &["bzip2", "-1"]),
        Maker::Packed(raw, &["xz", "-0", "--block-size=1MiB"]),
        Maker::Packed(raw, &["zstd", "-1", "-q"]),
        Maker::Packed(stream, &["gzip", "-1"]),
        Maker::Packed(Kind::new("qcow2", ""), &["xz", "-0"]),
    ];
    qemu.into_iter().map(Maker::Qemu).chain(WRITABLE.iter().copied().map(Maker::Ours)).chain(packed).collect()
}

/// What is written.
const WRITABLE: &[Kind] = &[
    Kind::new("raw", ""),
    Kind::new("raw", "preallocation=full"),
    Kind::new("qcow2", ""),
    Kind::new("qcow2", "compat=0.10"),
    Kind::new("qcow2", "cluster_size=512,refcount_bits=1"),
    Kind::new("qcow2", "cluster_size=2M,refcount_bits=64"),
    Kind::new("qcow2", "preallocation=metadata,lazy_refcounts=on"),
    Kind::new("qcow2", "preallocation=full"),
    Kind::new("qcow2", "extended_l2=on"),
    Kind::new("qcow2", "data_file=NAME.data"),
    Kind::new("qcow2", "data_file=NAME.data,data_file_raw=on"),
    Kind::new("qcow2", "encrypt.format=luks,encrypt.key-secret=sec0,encrypt.iter-time=10")
        .opened_with("encrypt.key-secret=sec0"),
    Kind::new("qcow2", "").compressed(),
    Kind::new("qcow2", "extended_l2=on").compressed(),
    Kind::new("qcow2", "cluster_size=4k").compressed(),
    Kind::new("qcow2", "cluster_size=2M,compression_level=1").compressed(),
    Kind::new("qcow2", "compression_type=zstd").compressed(),
    Kind::new("qcow2", "compression_window=4k").compressed(),
    Kind::new("vmdk", "subformat=monolithicSparse"),
    Kind::new("vmdk", "subformat=monolithicSparse,zeroed_grain=on"),
    Kind::new("vmdk", "subformat=monolithicFlat"),
    Kind::new("vmdk", "subformat=twoGbMaxExtentSparse"),
    Kind::new("vmdk", "subformat=twoGbMaxExtentFlat"),
    Kind::new("vmdk", "subformat=vmfs"),
    Kind::new("vmdk", "subformat=streamOptimized"),
    Kind::new("vhd", "subformat=dynamic"),
    Kind::new("vhd", "subformat=fixed"),
    Kind::new("vhdx", "subformat=dynamic"),
    Kind::new("vhdx", "subformat=dynamic,block_size=1M,logical_sector_size=4096"),
    Kind::new("vhdx", "subformat=fixed"),
    Kind::new("vdi", ""),
    Kind::new("parallels", ""),
    Kind::new("parallels", "cluster_size=3k"),
    Kind::new("vdi", "static=on"),
    Kind::new("ova", ""),
];
