//! Images that `qemu-img` makes read to the disk that it made them from. Skipped where it is not
//! installed; `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

mod common;
#[path = "common/qemu.rs"]
mod qemu;

use std::path::Path;
use std::sync::Arc;

use common::{hash, open};
use imgfmt_core::{FileStorage, Image};
use qemu::{has_qemu_img, qemu_img};
use serde_json::Value;
use sha2::{Digest, Sha256};

#[test]
fn what_qemu_img_writes_reads_back() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = disk();
    std::fs::write(folder.path().join("disk.raw"), &disk).unwrap();
    for cluster in ["512", "1k", "4k", "64k", "256k", "2M"] {
        for (version, kinds) in [("0.10", &["", "-c"][..]), ("1.1", &["", "-c", "-c,zstd"])] {
            for kind in kinds {
                let (compress, zstd) = (kind.starts_with("-c"), kind.ends_with("zstd"));
                let codec = if zstd { ",compression_type=zstd" } else { "" };
                let options = format!("compat={version},cluster_size={cluster}{codec}");
                let compress = if compress { &["-c"][..] } else { &[] };
                let args =
                    [&["convert", "-f", "raw", "-O", "qcow2", "-o", &options], compress, &["disk.raw", "out.qcow2"]];
                qemu_img(folder.path(), &args.concat());
                check(&folder.path().join("out.qcow2"), &disk, &format!("{options} {kind}"));
            }
        }
    }
}

#[test]
fn chains_and_snapshots_of_qemu_img_read_back() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = disk();
    std::fs::write(folder.path().join("disk.raw"), &disk).unwrap();
    for args in [
        &["convert", "-f", "raw", "-O", "qcow2", "disk.raw", "base.qcow2"][..],
        &["snapshot", "-c", "first", "base.qcow2"],
        &["snapshot", "-c", "second", "base.qcow2"],
        &["bitmap", "--add", "base.qcow2", "changes"],
        &["create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "-o", "cluster_size=4k", "top.qcow2"],
    ] {
        qemu_img(folder.path(), args);
    }
    check(&folder.path().join("top.qcow2"), &disk, "a chain");
    let base = folder.path().join("base.qcow2");
    check(&base, &disk, "snapshots");
    let image = open(Arc::new(FileStorage::open(&base).unwrap()), &base, None).unwrap();
    let said = image.describe();
    let names: Vec<_> =
        said.details["snapshots"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "second"]);
    assert_eq!(said.specific["bitmaps"][0]["name"], "changes");
    assert_eq!(said.specific["bitmaps"][0]["granularity"], 65_536);
}

#[test]
fn what_is_said_of_an_image_is_what_qemu_img_says() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for options in [
        "compat=1.1",
        "compat=0.10",
        "lazy_refcounts=on,refcount_bits=1,compat=1.1",
        "compression_type=zstd",
        "extended_l2=on",
    ] {
        qemu_img(folder.path(), &["create", "-f", "qcow2", "-o", options, "some.qcow2", "10M"]);
        if !options.contains("refcount_bits=1") {
            qemu_img(folder.path(), &["snapshot", "-c", "now", "some.qcow2"]);
        }
        if !options.contains("0.10") {
            qemu_img(folder.path(), &["bitmap", "--add", "-g", "4k", "some.qcow2", "changes"]);
        }
        let said: Value =
            serde_json::from_slice(&qemu_img(folder.path(), &["info", "--output", "json", "some.qcow2"])).unwrap();
        let path = folder.path().join("some.qcow2");
        let ours = open(Arc::new(FileStorage::open(&path).unwrap()), &path, None).unwrap().describe();
        assert_eq!(ours.cluster_size, said["cluster-size"].as_u64());
        assert_eq!(Value::Object(ours.specific), said["format-specific"]["data"], "{options}");
        let Some(snapshots) = said.get("snapshots").and_then(Value::as_array) else { continue };
        for (name, value) in snapshots[0].as_object().unwrap() {
            assert_eq!(&ours.details["snapshots"][0][name], value, "{options}: {name}");
        }
    }
}

#[test]
fn a_disk_of_64_tib_opens_and_maps_at_once() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    qemu_img(folder.path(), &["create", "-f", "qcow2", "huge.qcow2", "64T"]);
    let path = folder.path().join("huge.qcow2");
    let image = open(Arc::new(FileStorage::open(&path).unwrap()), &path, None).unwrap();
    assert_eq!(image.size(), 64 << 40);
    let counts = imgfmt_core::ByteCounts::of(&image).unwrap();
    assert_eq!(counts.absent, 64 << 40);
}

/// Compares the content of an image with `disk`.
fn check(path: &Path, disk: &[u8], name: &str) {
    let storage = Arc::new(FileStorage::open(path).expect("qemu-img wrote it"));
    let image = open(storage, path, Some(path)).expect("it opens");
    assert_eq!(image.size(), disk.len() as u64, "{name}");
    let expected: String = Sha256::digest(disk).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash(&image).expect("it can be read"), expected, "{name}: the bytes differ");
}

/// A disk with text, noise, zeros and a tail that is no whole cluster.
fn disk() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut disk = vec![0; 3 << 20];
    for (index, block) in disk.chunks_mut(8192).enumerate() {
        match index % 5 {
            0 | 3 => {}
            1 => block.fill(0x5a),
            _ => block.iter_mut().for_each(|byte| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (state >> 56) as u8;
            }),
        }
    }
    disk.truncate((3 << 20) - 1536);
    disk
}
