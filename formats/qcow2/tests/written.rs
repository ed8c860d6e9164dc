//! What is written here is what `qemu-img` reads, and nothing that its check complains about. Skipped where it is not
//! installed; `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

#[path = "common/qemu.rs"]
mod qemu;
#[path = "common/write.rs"]
mod write;

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Fill, Pipe};
use imgfmt_core::{Backing, CreateRequest, Format, Image, Options, ParentName};
use imgfmt_qcow2::Qcow2;
use qemu::{has_qemu_img, qemu_img};
use serde_json::Value;
use write::{Folder, write};

#[test]
fn every_way_to_write_passes_the_check_and_compares() {
    let Some(folder) = folder_with_disk() else { return };
    for options in [
        "",
        "compat=0.10",
        "cluster_size=512,refcount_bits=1",
        "lazy_refcounts=on,refcount_bits=64",
        "extended_l2=on",
        "extended_l2=on,cluster_size=16k",
        "extended_l2=on,cluster_size=2M",
        "extended_l2=on,preallocation=metadata",
        "extended_l2=on,preallocation=falloc",
        "extended_l2=on,preallocation=full",
        "preallocation=metadata",
        "preallocation=falloc,cluster_size=4k",
        "preallocation=full,lazy_refcounts=on",
    ] {
        write_file(folder.path(), "out.qcow2", &disk().image(), options, false).unwrap();
        compare(folder.path(), options);
    }
    for options in ["extended_l2=on", "extended_l2=on,compression_type=zstd,cluster_size=16k", "lazy_refcounts=on"] {
        write_file(folder.path(), "out.qcow2", &disk().image(), options, true).unwrap();
        compare(folder.path(), options);
    }
}

#[test]
fn data_files_are_found_and_raw_ones_are_the_disk() {
    let Some(folder) = folder_with_disk() else { return };
    for options in [
        "data_file=data.bin",
        "data_file=data.bin,cluster_size=512",
        "data_file=data.bin,extended_l2=on",
        "data_file=data.bin,preallocation=metadata",
        "data_file=data.bin,preallocation=falloc",
        "data_file=data.bin,preallocation=full",
        "data_file=data.bin,data_file_raw=on",
        "data_file=data.bin,data_file_raw=on,extended_l2=on",
        "data_file=data.bin,data_file_raw=on,preallocation=full,lazy_refcounts=on",
    ] {
        write_file(folder.path(), "out.qcow2", &disk().image(), options, false).unwrap();
        compare(folder.path(), options);
        let data = std::fs::read(folder.path().join("data.bin")).unwrap();
        assert_eq!(data.len(), disk().bytes.len(), "{options}");
        assert!(!options.contains("raw=on") || data == disk().bytes, "{options}: the data file is not the disk");
        let info = info(folder.path());
        assert_eq!(info["data-file"], "data.bin", "{options}");
        assert_eq!(info["data-file-raw"], options.contains("raw=on"), "{options}");
    }
}

#[test]
fn overlays_show_their_backing_file_and_hide_it_to_the_subcluster() {
    let Some(folder) = folder_with_disk() else { return };
    let base = Disk::new("base", disk().bytes.len(), &[(0..disk().bytes.len(), Fill::Noise)]);
    std::fs::write(folder.path().join("base.raw"), &base.bytes).unwrap();
    let name = ParentName { name: "base.raw".into(), format: Some("raw".to_owned()) };
    let backing = Backing { name, ..Backing::default() };
    for (options, compress) in [
        ("", false),
        ("compat=0.10", false),
        ("extended_l2=on", false),
        ("extended_l2=on", true),
        ("extended_l2=on,preallocation=metadata", false),
        ("extended_l2=on,preallocation=full,cluster_size=128k", false),
        ("extended_l2=on,data_file=data.bin", false),
        ("data_file=data.bin", false),
    ] {
        let parsed = Options::parse(options).unwrap();
        let files = Folder(folder.path().to_path_buf());
        let size = disk().image().size();
        let request =
            CreateRequest { compress, files: &files, backing: Some(&backing), ..CreateRequest::new(size, &parsed) };
        write(files.file(Path::new("out.qcow2")), &disk().image(), &request).unwrap();
        compare(folder.path(), options);
    }
}

#[test]
fn what_leaves_through_a_pipe_is_an_image_like_any_other() {
    let Some(folder) = folder_with_disk() else { return };
    let image = disk().image();
    for options in [
        "",
        "compat=0.10",
        "cluster_size=512,refcount_bits=1",
        "cluster_size=2M,refcount_bits=64",
        "extended_l2=on,lazy_refcounts=on",
        "preallocation=metadata",
        "preallocation=full,cluster_size=4k",
    ] {
        let parsed = Options::parse(options).unwrap();
        let request = CreateRequest { plan: Some(&image), ..CreateRequest::new(image.size(), &parsed) };
        let pipe = Arc::new(Pipe::default());
        write(pipe.clone(), &image, &request).unwrap();
        std::fs::write(folder.path().join("out.qcow2"), pipe.to_vec()).unwrap();
        compare(folder.path(), options);
    }
}

#[test]
fn a_disk_whose_size_only_the_end_tells_is_like_any_other() {
    let Some(folder) = folder_with_disk() else { return };
    for options in
        ["", "cluster_size=512", "extended_l2=on", "data_file=data.bin,data_file_raw=on", "preallocation=metadata"]
    {
        let parsed = Options::parse(options).unwrap();
        let files = Folder(folder.path().to_path_buf());
        let request = CreateRequest { size_grows: true, files: &files, ..CreateRequest::new(0, &parsed) };
        let writer = Qcow2.create(files.file(Path::new("out.qcow2")), &request).unwrap();
        let image = disk().image();
        writer.set_size(image.size()).unwrap();
        imgfmt_core::convert::Convert::default().run(&image, writer).unwrap();
        compare(folder.path(), options);
    }
}

/// Writes `image` as a file called `name` in `folder`; `request` may ask for more.
fn write_file(folder: &Path, name: &str, image: &dyn Image, options: &str, compress: bool) -> imgfmt_core::Result<()> {
    let options = Options::parse(options)?;
    let files = Folder(folder.to_path_buf());
    let request = CreateRequest { compress, files: &files, ..CreateRequest::new(image.size(), &options) };
    write(files.file(Path::new(name)), image, &request)
}

/// A folder with the disk as `disk.raw`, where the oracle is there.
fn folder_with_disk() -> Option<tempfile::TempDir> {
    let folder = has_qemu_img().then(|| tempfile::tempdir().expect("there is room"))?;
    std::fs::write(folder.path().join("disk.raw"), disk().bytes).expect("it can be read");
    Some(folder)
}

/// What `qemu-img` says of `out.qcow2`.
fn info(folder: &Path) -> Value {
    let said = qemu_img(folder, &["info", "--output", "json", "out.qcow2"]);
    let said: Value = serde_json::from_slice(&said).expect("it can be read");
    said["format-specific"]["data"].clone()
}

/// Checks `out.qcow2`, and compares it with `disk.raw`.
fn compare(folder: &Path, options: &str) {
    let quiet = qemu_img(folder, &["check", "-f", "qcow2", "out.qcow2"]);
    assert!(String::from_utf8_lossy(&quiet).starts_with("No errors"), "{options}: {}", String::from_utf8_lossy(&quiet));
    qemu_img(folder, &["compare", "-f", "qcow2", "-F", "raw", "out.qcow2", "disk.raw"]);
}

/// A disk of runs that fit no unit.
fn disk() -> Disk {
    Disk::new(
        "written",
        (5 << 20) + 1536,
        &[
            (100..70_000, Fill::Text),
            (131_072..131_073, Fill::Noise),
            (200_000..300_000, Fill::Zeros),
            (300_000..900_001, Fill::Noise),
            (2_000_000..4_100_000, Fill::Text),
            (4_100_000..4_200_000, Fill::Zeros),
            (5_000_000..5_000_001, Fill::Text),
            ((5 << 20) + 1500..(5 << 20) + 1536, Fill::Text),
        ],
    )
}
