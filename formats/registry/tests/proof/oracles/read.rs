//! What `qemu-img` writes reads to the same bytes here, in libvmdk and in libqcow.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use imgfmt::conformance::Disk;
use imgfmt::{Image, ImageExt, ParentName};

use crate::support::Outcome;
use crate::support::compare::{hash_of, holds, open, same_guest, whole_sectors};
use crate::support::corpus::entries;
use crate::support::disks::{mixed, small};
use crate::support::libyal::Libyal;
use crate::support::qemu::QemuImg;
use crate::support::say::say;

#[test]
fn every_kind_of_vmdk_reads_to_the_same_bytes() -> Outcome {
    let (Some(qemu), libyal) = (QemuImg::find(), Libyal::find()?) else { return Ok(()) };
    let mut libyal = libyal;
    for disk in disks() {
        // A VMDK without a byte is nothing that qemu-img opens, though it writes it.
        for kind in VMDK_KINDS.iter().filter(|_| !disk.bytes.is_empty()) {
            let folder = tempfile::tempdir()?;
            std::fs::write(folder.path().join("disk.raw"), whole_sectors(&disk.bytes))?;
            qemu.make(folder.path(), "disk.raw", &format!("-O vmdk -o {kind}"), "disk.vmdk")?;
            vmdk_reads(&folder.path().join("disk.vmdk"), &disk, libyal.as_mut())
                .map_err(|e| format!("{kind}, {}: {e}", disk.name))?;
        }
    }
    Ok(())
}

#[test]
fn every_kind_of_qcow2_reads_to_the_same_bytes() -> Outcome {
    let (Some(qemu), libyal) = (QemuImg::find(), Libyal::find()?) else { return Ok(()) };
    let mut libyal = libyal;
    for disk in disks() {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("disk.raw"), whole_sectors(&disk.bytes))?;
        for kind in QCOW2_KINDS {
            let path = folder.path().join("disk.qcow2");
            qemu.make(folder.path(), "disk.raw", &format!("-O qcow2 {kind}"), "disk.qcow2")?;
            let bytes = whole_sectors(&disk.bytes);
            holds(&open(&path, None)?, &bytes).map_err(|e| format!("{kind}, {}: {e}", disk.name))?;
            let Some(libyal) = &mut libyal else { continue };
            if !bytes.is_empty() && !kind.contains("zstd") {
                assert_eq!(libyal.qcow2(&path, None)?, hash_of(&bytes), "libqcow: {kind}, {}", disk.name);
            }
        }
    }
    Ok(())
}

#[test]
fn a_disk_of_several_extents_reads_across_their_borders() -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let raw = File::create(folder.path().join("disk.raw"))?;
    raw.set_len((5 << 30) + 512)?;
    for border in [0, 2 << 30, 4 << 30, 5 << 30] {
        let text = b"across the border of two extents".repeat(30);
        raw.write_all_at(&text[..if border == 5 << 30 { 512 } else { text.len() }], u64::max(border, 300) - 300)?;
    }
    drop(raw);
    let raw = open(&folder.path().join("disk.raw"), Some("raw"))?;
    for kind in ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat"] {
        qemu.make(folder.path(), "disk.raw", &format!("-O vmdk -o subformat={kind}"), "disk.vmdk")?;
        let image = open(&folder.path().join("disk.vmdk"), None)?;
        assert!(image.layers()[0].sources().len() >= 3, "{kind}");
        same_guest(&image, &raw).map_err(|e| format!("{kind}: {e}"))?;
    }
    Ok(())
}

#[test]
fn a_chain_of_three_reads_as_one_disk() -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    for (middle, top) in
        [("cluster_size=64k", "cluster_size=4k"), ("compat=0.10", "cluster_size=512"), ("", "compat=0.10")]
    {
        let folder = tempfile::tempdir()?;
        let run = |args: &str| qemu.run(folder.path(), &args.split_whitespace().collect::<Vec<_>>());
        std::fs::write(folder.path().join("base.raw"), whole_sectors(&mixed().bytes))?;
        let options = |options: &str| if options.is_empty() { String::new() } else { format!("-o {options}") };
        run(&format!("create -f qcow2 {} -b base.raw -F raw middle.qcow2", options(middle)))?;
        qemu.write_pattern(folder.path(), "middle.qcow2", 0x11, 70_000, 300_000)?;
        qemu.write_pattern(folder.path(), "middle.qcow2", 0x00, 1 << 20, 1 << 20)?;
        // Longer than what lies below: zeros behind its end.
        run(&format!("create -f qcow2 {} -b middle.qcow2 -F qcow2 top.qcow2 30M", options(top)))?;
        qemu.write_pattern(folder.path(), "top.qcow2", 0x22, 200_000, 1000)?;
        qemu.write_pattern(folder.path(), "top.qcow2", 0x33, 29 << 20, 512)?;
        run("convert -f qcow2 -O raw top.qcow2 flat.raw")?;
        let image = open(&folder.path().join("top.qcow2"), None)?;
        assert_eq!(image.layers().len(), 3);
        let flat = std::fs::read(folder.path().join("flat.raw"))?;
        holds(&image, &flat).map_err(|e| format!("{middle}, {top}: {e}"))?;
        overlay_stays_an_overlay(qemu, folder.path(), &flat).map_err(|e| format!("{middle}, {top}: {e}"))?;
    }
    Ok(())
}

#[test]
fn internal_snapshots_do_not_show() -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("disk.raw"), whole_sectors(&mixed().bytes))?;
    for kind in ["-o cluster_size=4k", "-c", "-o compat=0.10"] {
        qemu.make(folder.path(), "disk.raw", &format!("-O qcow2 {kind}"), "disk.qcow2")?;
        for (name, pattern) in [("one", 0x44), ("two", 0x55)] {
            qemu.run(folder.path(), &["snapshot", "-c", name, "disk.qcow2"])?;
            qemu.write_pattern(folder.path(), "disk.qcow2", pattern, 100_000, 2 << 20)?;
        }
        qemu.run(folder.path(), &["convert", "-f", "qcow2", "-O", "raw", "disk.qcow2", "now.raw"])?;
        let image = open(&folder.path().join("disk.qcow2"), None)?;
        holds(&image, &std::fs::read(folder.path().join("now.raw"))?).map_err(|e| format!("{kind}: {e}"))?;
    }
    Ok(())
}

#[test]
fn an_encrypted_image_is_refused_without_its_secret() -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("disk.raw"), vec![1; 1 << 20])?;
    let kind = "--object secret,id=s,data=x -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";
    qemu.make(folder.path(), "disk.raw", &format!("-O qcow2 {kind}"), "disk.qcow2")?;
    let refused = open(&folder.path().join("disk.qcow2"), None).and_then(|image| image.read_at(&mut [0], 0));
    let text = crate::support::say::whole_message(&refused.expect_err("it has been read"));
    assert!(text.contains("encrypted"), "{text}");
    Ok(())
}

#[test]
fn other_readers_read_the_corpus_as_we_do() -> Outcome {
    let Some(entries) = entries()? else { return Ok(()) };
    let Some(mut libyal) = Libyal::find()? else { return Ok(()) };
    let mut read = 0;
    for entry in entries.iter().filter(|entry| FORMATS.contains(&entry.format.as_str())) {
        let Ok(image) = open(&entry.path, None) else { continue };
        if image.size() > MAX_SIZE {
            say(&format!("  {:40} {} bytes take too long", entry.name, image.size()));
            continue;
        }
        let theirs = match entry.format.as_str() {
            "vmdk" => libyal.vmdk(&entry.path),
            "qcow2" => libyal.qcow2(&entry.path, None),
            _ => libyal.vhdi(&entry.path, image.layers().get(1).and(entry.parent_path().as_deref())),
        };
        match theirs {
            // It ignores the log of a VHDX, and reads some parents of VHDs otherwise than everybody else.
            Ok(theirs) if Some(&theirs.1) != entry.guest_sha256.as_ref() && entry.fails_elsewhere("libyal") => {
                say(&format!("  {:40} libyal is known to be wrong: {theirs:?}", entry.name));
            }
            Ok(theirs) => {
                assert_eq!(theirs.0, image.size(), "{}", entry.name);
                assert_eq!(Some(theirs.1), entry.guest_sha256, "{}", entry.name);
                read += 1;
            }
            Err(error) => {
                say(&format!("  {:40} {error}", entry.name));
                assert!(entry.fails_elsewhere("libyal"), "{}: {error}", entry.name);
            }
        }
    }
    assert!(read > 10, "only {read} images are read by both");
    Ok(())
}

/// Checks that a VMDK holds `disk`, here and for libvmdk.
fn vmdk_reads(path: &Path, disk: &Disk, libyal: Option<&mut Libyal>) -> Outcome {
    let bytes = whole_sectors(&disk.bytes);
    holds(&open(path, None)?, &bytes)?;
    let Some(libyal) = libyal else { return Ok(()) };
    let theirs = libyal.vmdk(path)?;
    if theirs == hash_of(&bytes) { Ok(()) } else { Err(format!("libvmdk: {theirs:?}").into()) }
}

/// Converts the top layer of the chain in `folder` with its middle as the backing file, and compares the result.
fn overlay_stays_an_overlay(qemu: QemuImg, folder: &Path, flat: &[u8]) -> Outcome {
    let mut gate = imgfmt::Beneath::new();
    gate.allow(folder)?;
    let new = folder.join("new.qcow2");
    let mut request = imgfmt::ConvertRequest::new(folder.join("top.qcow2"), &new, "qcow2");
    request.access.gate = &gate;
    request.backing = Some(ParentName { name: "middle.qcow2".into(), format: None });
    imgfmt::convert(&request)?;
    qemu.check(&new)?;
    qemu.compare(&new, "qcow2", &folder.join("flat.raw"))?;
    let image = open(&new, None)?;
    holds(&image, flat)?;
    let mut below = 0;
    image.visit_extents(0..image.size(), &mut |extent| {
        below += if extent.layer > 0 { extent.len } else { 0 };
        Ok(())
    })?;
    if below > 10 << 20 { Ok(()) } else { Err(format!("only {below} bytes are left to the backing file").into()) }
}

/// All disks.
fn disks() -> Vec<Disk> {
    let mut disks = small();
    disks.push(mixed());
    disks
}

/// Kinds of VMDK that `qemu-img` writes.
const VMDK_KINDS: &[&str] = &[
    "subformat=monolithicSparse",
    "subformat=monolithicSparse,zeroed_grain=on",
    "subformat=monolithicSparse,compat6=on",
    "subformat=monolithicSparse,hwversion=10,adapter_type=lsilogic,toolsversion=1",
    "subformat=monolithicFlat",
    "subformat=twoGbMaxExtentSparse",
    "subformat=twoGbMaxExtentFlat",
    "subformat=streamOptimized",
];
/// Kinds of qcow2 that `qemu-img` writes, as its arguments.
const QCOW2_KINDS: &[&str] = &[
    "",
    "-o compat=0.10",
    "-o cluster_size=512",
    "-o cluster_size=2M,refcount_bits=64",
    "-o refcount_bits=1,lazy_refcounts=on",
    "-c",
    "-c -o compat=0.10,cluster_size=4k",
    "-c -o compression_type=zstd",
    "-c -o compression_type=zstd,cluster_size=2M",
    "-o preallocation=metadata",
    "-o preallocation=falloc,cluster_size=4k",
    "-o preallocation=full",
    "-S 0",
];
/// The formats that libyal reads.
const FORMATS: [&str; 4] = ["vmdk", "qcow2", "vhd", "vhdx"];
/// Guest bytes of an image that is given to Python.
const MAX_SIZE: u64 = 2 << 30;
