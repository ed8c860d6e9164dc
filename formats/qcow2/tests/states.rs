//! What `qemu-img` and `qemu-io` leave behind beyond plain clusters reads as they read it: subclusters, data files,
//! snapshots, bitmaps. Skipped where they are not installed; `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

mod common;
#[path = "common/qemu.rs"]
mod qemu;
#[path = "common/write.rs"]
mod write;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use common::{hash, open};
use imgfmt_core::conformance::{Disk, Fill, Pipe};
use imgfmt_core::{
    Bitmap, CreateRequest, DenyAll, ErrorKind, FileStorage, Format, Image, Layer, Limits, MemoryTarget, OpenContext,
    Opener, Options, Result, Storage, Target,
};
use imgfmt_qcow2::Qcow2;
use qemu::{has_qemu_img, qemu_img, run};
use serde_json::Value;
use sha2::{Digest, Sha256};
use write::{Folder, write};

#[test]
fn subclusters_read_as_qemu_reads_them() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    qemu_img(folder.path(), &["create", "-f", "raw", "base.raw", "3M"]);
    qemu_io(folder.path(), "raw", "base.raw", &["write -P 0x5a 0 3M"]);
    for cluster in ["16k", "64k", "1M"] {
        for backed in [false, true] {
            let options = format!("extended_l2=on,cluster_size={cluster}");
            let backing = if backed { &["-b", "base.raw", "-F", "raw"][..] } else { &[] };
            qemu_img(
                folder.path(),
                &[&["create", "-f", "qcow2", "-o", &options], backing, &["top.qcow2", "5M"]].concat(),
            );
            let commands = [
                "write -P 1 3k 9k",
                "write -P 2 100k 300k",
                "write -z 104k 8k",
                "write -P 3 1M 2M",
                "discard 1100k 600k",
                "write -z 1500k 1M",
                "write -P 4 5119k 1k",
                "write -c -P 5 4M 64k",
            ];
            let end = if cluster == "64k" { commands.len() } else { commands.len() - 1 };
            qemu_io(folder.path(), "qcow2", "top.qcow2", &commands[..end]);
            same(folder.path(), "top.qcow2", &options);
            qemu_img(folder.path(), &["check", "top.qcow2"]);
        }
    }
}

#[test]
fn data_files_of_qemu_read_back() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for options in [
        "data_file=data.bin",
        "data_file=data.bin,data_file_raw=on",
        "data_file=data.bin,extended_l2=on",
        "data_file=data.bin,preallocation=metadata",
    ] {
        qemu_img(folder.path(), &["create", "-f", "qcow2", "-o", options, "top.qcow2", "3M"]);
        let commands = ["write -P 1 0 9k", "write -P 2 1M 300k", "write -z 1100k 70k", "write -P 4 3071k 1k"];
        qemu_io(folder.path(), "qcow2", "top.qcow2", &commands);
        same(folder.path(), "top.qcow2", options);
        let path = folder.path().join("top.qcow2");
        let storage = Arc::new(FileStorage::open(&path).unwrap());
        let error = open(storage.clone(), &path, None).err().expect("no gate, no data file");
        assert_eq!(error.kind(), ErrorKind::Refused);
        let limits = Limits::default();
        let context = OpenContext { describe_only: true, path: Some(&path), ..OpenContext::new(&limits, &DenyAll) };
        let opened = Qcow2.open(storage, &context).unwrap();
        let info: Value =
            serde_json::from_slice(&qemu_img(folder.path(), &["info", "--output", "json", "top.qcow2"])).unwrap();
        let said = Value::Object(opened.image.describe().specific);
        assert_eq!(said, info["format-specific"]["data"], "{options}");
        imgfmt_core::ByteCounts::of(opened.image.as_ref()).expect("the map can be read without the data");
        assert_eq!(opened.image.read_at(&mut [0; 512], 0).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn snapshots_of_other_sizes_read_as_qemu_reads_them() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for options in ["compat=1.1,cluster_size=4k", "compat=0.10", "extended_l2=on,cluster_size=16k"] {
        qemu_img(folder.path(), &["create", "-f", "qcow2", "-o", options, "disk.qcow2", "1M"]);
        qemu_io(folder.path(), "qcow2", "disk.qcow2", &["write -P 1 0 100k", "write -P 2 900k 100k"]);
        qemu_img(folder.path(), &["snapshot", "-c", "small", "disk.qcow2"]);
        // Version 2 does not say how large the disk was, and QEMU does not resize it.
        if options != "compat=0.10" {
            qemu_img(folder.path(), &["resize", "-q", "disk.qcow2", "20M"]);
            qemu_io(folder.path(), "qcow2", "disk.qcow2", &["write -P 3 50k 100k", "write -P 4 19M 100k"]);
            qemu_img(folder.path(), &["snapshot", "-c", "large", "disk.qcow2"]);
        }
        let path = folder.path().join("disk.qcow2");
        for name in if options == "compat=0.10" { &["small", "1"][..] } else { &["small", "large", "1", "2"] } {
            qemu_img(folder.path(), &["convert", "-f", "qcow2", "-l", name, "-O", "raw", "disk.qcow2", "disk.raw"]);
            let storage = Arc::new(FileStorage::open(&path).unwrap());
            let layers = open_layers(storage, &path, Some(name)).unwrap();
            let image = layers[0].image.as_ref();
            assert_eq!(
                image.size(),
                if ["small", "1"].contains(name) { 1 << 20 } else { 20 << 20 },
                "{options}: {name}"
            );
            // What qemu-img writes is as large as the disk is now, with nothing behind the end of the snapshot.
            let mut disk = std::fs::read(folder.path().join("disk.raw")).unwrap();
            let rest = disk.split_off(usize::try_from(image.size()).unwrap());
            assert!(imgfmt_core::convert::is_zero(&rest), "{options}: {name}");
            compare(image, &disk, &format!("{options}: {name}"));
        }
    }
}

#[test]
fn bitmaps_come_through_qemu_as_they_were() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new("bitmaps", 40 << 20, &[(0..70_000, Fill::Text)]);
    let dirty = |ranges: &[Range<u64>], granularity, name: &str| Dirty {
        info: imgfmt_core::BitmapInfo {
            name: name.to_owned(),
            granularity,
            enabled: name != "off",
            inconsistent: false,
        },
        runs: ranges.to_vec(),
    };
    let end = 40 << 20;
    let bitmaps = [
        dirty(&[0..512, 5120..6144, 65_536..20_000_000 / 512 * 512, end - 512..end], 512, "fine"),
        dirty(&[0..65_536, (30 << 20)..end], 65_536, "off"),
        dirty(&[], 1 << 20, "empty"),
        dirty(std::slice::from_ref(&(0..end)), 512, "all"),
    ];
    let list: Vec<&dyn Bitmap> = bitmaps.iter().map(|bitmap| bitmap as &dyn Bitmap).collect();
    let image = disk.image();
    for (options, piped) in
        [("", false), ("cluster_size=512", false), ("extended_l2=on", false), ("cluster_size=4k", true), ("", true)]
    {
        let parsed = Options::parse(options).unwrap();
        let request = CreateRequest { bitmaps: &list, plan: Some(&image), ..CreateRequest::new(image.size(), &parsed) };
        let name = "ours.qcow2";
        if piped {
            let pipe = Arc::new(Pipe::default());
            write(pipe.clone(), &image, &request).unwrap();
            std::fs::write(folder.path().join(name), pipe.to_vec()).unwrap();
        } else {
            write(Folder(folder.path().to_path_buf()).file(Path::new(name)), &image, &request).unwrap();
        }
        qemu_img(folder.path(), &["check", name]);
        qemu_img(folder.path(), &["convert", "--bitmaps", "-f", "qcow2", "-O", "qcow2", name, "theirs.qcow2"]);
        for name in [name, "theirs.qcow2"] {
            let path = folder.path().join(name);
            let layers = open_layers(Arc::new(FileStorage::open(&path).unwrap()), &path, None).unwrap();
            assert_eq!(layers[0].bitmaps.len(), bitmaps.len(), "{options}: {name}");
            for (stored, bitmap) in layers[0].bitmaps.iter().zip(&bitmaps) {
                assert_eq!(stored.info(), &bitmap.info, "{options}: {name}");
                assert_eq!(runs(stored.as_ref()), bitmap.runs, "{options}: {name}: {}", bitmap.info.name);
            }
        }
    }
}

#[test]
fn bitmaps_that_the_format_cannot_hold_are_refused() {
    let bitmap = |name: &str, granularity, inconsistent| Dirty {
        info: imgfmt_core::BitmapInfo { name: name.to_owned(), granularity, enabled: true, inconsistent },
        runs: Vec::new(),
    };
    let create = |bitmaps: &[&dyn Bitmap], options: &str, size_grows| {
        let parsed = Options::parse(options).unwrap();
        let request = CreateRequest { bitmaps, size_grows, ..CreateRequest::new(1 << 20, &parsed) };
        let target: Arc<dyn Target> = Arc::new(MemoryTarget::new());
        Qcow2.create(target, &request).err().map(|e| e.kind())
    };
    let fine = bitmap("fine", 65_536, false);
    assert_eq!(create(&[&fine], "", false), None);
    assert_eq!(create(&[&fine], "compat=0.10", false), Some(ErrorKind::Invalid));
    assert_eq!(create(&[&fine, &fine], "", false), Some(ErrorKind::Invalid));
    assert_eq!(create(&[&fine], "", true), Some(ErrorKind::Unsupported));
    for wrong in [bitmap("", 512, false), bitmap("x", 256, false), bitmap("x", 1 << 32, false), bitmap("x", 512, true)]
    {
        assert_eq!(create(&[&wrong], "", false), Some(ErrorKind::Invalid), "{:?}", wrong.info);
    }
}

/// A bitmap in memory.
struct Dirty {
    /// What is to be said about it.
    info: imgfmt_core::BitmapInfo,
    /// The dirty guest bytes.
    runs: Vec<Range<u64>>,
}

impl Bitmap for Dirty {
    fn info(&self) -> &imgfmt_core::BitmapInfo {
        &self.info
    }

    fn visit_dirty(&self, visit: &mut dyn FnMut(Range<u64>) -> Result<()>) -> Result<()> {
        self.runs.iter().cloned().try_for_each(visit)
    }
}

/// The dirty runs of a bitmap.
fn runs(bitmap: &dyn Bitmap) -> Vec<Range<u64>> {
    let mut runs = Vec::new();
    bitmap
        .visit_dirty(&mut |run| {
            runs.push(run);
            Ok(())
        })
        .expect("it can be read");
    runs
}

/// Compares what is read here of an image in `folder` with what `qemu-img` makes of it.
fn same(folder: &Path, name: &str, what: &str) {
    qemu_img(folder, &["convert", "-f", "qcow2", "-O", "raw", name, "theirs.raw"]);
    let path = folder.join(name);
    let image =
        open(Arc::new(FileStorage::open(&path).expect("it is there")), &path, Some(&path)).expect("it can be read");
    compare(&image, &std::fs::read(folder.join("theirs.raw")).expect("it can be read"), what);
}

/// Compares an image with a disk.
fn compare(image: &dyn Image, disk: &[u8], what: &str) {
    assert_eq!(image.size(), disk.len() as u64, "{what}");
    let expected: String = Sha256::digest(disk).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash(image).expect("it can be read"), expected, "{what}: the bytes differ");
}

/// Runs commands of `qemu-io`, which comes with `qemu-img`, on an image in `folder`.
fn qemu_io(folder: &Path, format: &str, image: &str, commands: &[&str]) {
    let commands = commands.iter().flat_map(|command| ["-c", *command]);
    run("qemu-io", folder, &["-f", format, image].into_iter().chain(commands).collect::<Vec<_>>());
}

/// Opens the layers of the image in `storage`, the first of them at `snapshot`.
fn open_layers(storage: Arc<dyn Storage>, path: &Path, snapshot: Option<&str>) -> Result<Vec<Layer>> {
    let limits = Limits::default();
    let formats: [&dyn Format; 1] = [&Qcow2];
    let opener = Opener::new(&formats, &DenyAll, &limits);
    let context = OpenContext { snapshot, ..opener.context };
    Opener { context, ..opener }.open_layers(storage, Some(path), Some("qcow2"))
}
