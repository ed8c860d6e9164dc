//! Disks that were set aside and never written: no verb reads gigabytes of holes.

use imgfmt::convert::Cancel;
use imgfmt::{
    CheckRequest, CommitRequest, CompactRequest, CompareRequest, ConvertRequest, CreateImage, HashAlgorithm,
    HashRequest, MeasureRequest, MeasureSource, Options, ParentName, RebaseRequest, Source,
};

use super::support::{Folder, Kind, Outcome, whole};

/// Guest bytes of the disks: enough that nobody reads all of them by mistake without being seen.
const SIZE: u64 = 4 << 30;
/// Bytes that a verb may read: tables, and what it makes of them.
const MOST: u64 = 48 << 20;

/// Kinds of images that take places for all of their data, which are holes of the file.
const SPARSE: &[Kind] = &[
    Kind { format: "raw", options: "" },
    Kind { format: "vhd", options: "subformat=fixed" },
    Kind { format: "vhdx", options: "subformat=fixed" },
    Kind { format: "vmdk", options: "subformat=monolithicFlat" },
    Kind { format: "qcow2", options: "preallocation=metadata" },
    Kind { format: "qcow2", options: "preallocation=falloc" },
];

/// Bytes that this process has read, in whatever way.
fn bytes_read() -> Outcome<u64> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).ok_or("no rchar")?;
    Ok(line.trim().parse()?)
}

/// Does `act`, which reads next to nothing.
fn reads_little(what: &str, act: impl FnOnce() -> Result<(), imgfmt::Error>) -> Outcome {
    let before = bytes_read()?;
    act().map_err(|e| format!("{what}: {}", whole(&e)))?;
    let read = bytes_read()? - before;
    assert!(read < MOST, "{what}: {read} bytes were read");
    Ok(())
}

/// A new image called `name`.
fn create(folder: &Folder, kind: Kind, name: &str, parent: Option<Kind>) -> Outcome {
    let mut request = CreateImage::new(folder.path(name), kind.format, SIZE);
    request.access = folder.access();
    match parent {
        Some(parent) => request.backing = Some(ParentName { name: "disk".into(), format: Some(parent.format.into()) }),
        None => request.options = Options::parse(kind.options)?,
    }
    imgfmt::create(&request).map_err(|e| whole(&e))?;
    Ok(())
}

/// Whether the file system has holes; one without has nothing to show here.
fn has_holes(folder: &Folder) -> Outcome<bool> {
    use imgfmt::Storage;
    let path = folder.path("probe");
    std::fs::File::create(&path)?.set_len(1 << 20)?;
    let hole = imgfmt::FileStorage::open(&path)?.segment(0)?.hole;
    std::fs::remove_file(&path)?;
    Ok(hole)
}

#[test]
fn what_reads_all_of_a_disk_reads_no_holes() -> Outcome {
    for kind in SPARSE {
        let folder = Folder::new()?;
        if !has_holes(&folder)? {
            println!("skipped: this file system has no holes");
            return Ok(());
        }
        create(&folder, *kind, "disk", None)?;
        let disk = || kind.source(&folder, "disk");
        std::fs::File::create(folder.path("zeros"))?.set_len(SIZE)?;
        reads_little(&format!("compare {kind:?}"), || {
            let second = Source { path: folder.path("zeros"), format: Some("raw".into()) };
            let request = CompareRequest {
                first: disk(),
                second,
                strict: false,
                threads: std::num::NonZeroUsize::MIN,
                progress: None,
                cancel: Cancel::default(),
                access: folder.access(),
                second_access: None,
            };
            imgfmt::compare(&request).map(drop).map_err(|e| e.error)
        })?;
        reads_little(&format!("measure {kind:?}"), || {
            let source = MeasureSource::Image(disk());
            let (target_format, options) = ("qcow2".into(), Options::new());
            imgfmt::measure(&MeasureRequest { source, target_format, options, access: folder.access() }).map(drop)
        })?;
        reads_little(&format!("check {kind:?}"), || {
            let mut request = CheckRequest::new(folder.path("disk"));
            (request.source, request.access, request.deep) = (disk(), folder.access(), true);
            imgfmt::check(&request).map(drop)
        })?;
        for format in ["raw", "qcow2", "vhdx"] {
            reads_little(&format!("convert {kind:?} to {format}"), || {
                let mut request = ConvertRequest::new(folder.path("disk"), folder.path("out"), format);
                (request.sources, request.access) = (vec![disk()], folder.access());
                imgfmt::convert(&request).map(drop)
            })?;
        }
        reads_little(&format!("hash {kind:?}"), || {
            let request = HashRequest {
                source: disk(),
                algorithms: vec![HashAlgorithm::Blake3],
                threads: std::num::NonZeroUsize::MIN,
                progress: None,
                cancel: Cancel::default(),
                access: folder.access(),
            };
            imgfmt::hash(&request).map(drop)
        })?;
    }
    Ok(())
}

#[test]
fn what_changes_an_image_reads_and_fills_no_holes() -> Outcome {
    for kind in SPARSE {
        let folder = Folder::new()?;
        if !has_holes(&folder)? {
            println!("skipped: this file system has no holes");
            return Ok(());
        }
        create(&folder, *kind, "disk", None)?;
        let above = Kind { format: if kind.format == "raw" { "qcow2" } else { kind.format }, options: "" };
        create(&folder, above, "top", Some(*kind))?;
        reads_little(&format!("rebase to nothing, from {kind:?}"), || {
            let mut request = RebaseRequest::new(folder.path("top"), None);
            (request.source, request.access) = (above.source(&folder, "top"), folder.access());
            imgfmt::rebase(&request).map(drop)
        })?;
        create(&folder, above, "top", Some(*kind))?;
        reads_little(&format!("commit to {kind:?}"), || {
            let mut request = CommitRequest::new(folder.path("top"));
            (request.source, request.access) = (above.source(&folder, "top"), folder.access());
            imgfmt::commit(&request).map(drop)
        })?;
        if kind.format != "vmdk" {
            reads_little(&format!("compact {kind:?} to another file"), || {
                let mut request = CompactRequest::new(folder.path("disk"));
                (request.source, request.access) = (kind.source(&folder, "disk"), folder.access());
                request.output = Some(folder.path("out"));
                imgfmt::compact(&request).map(drop)
            })?;
        }
        reads_little(&format!("compact {kind:?} in place"), || {
            let mut request = CompactRequest::new(folder.path("disk"));
            (request.source, request.access) = (kind.source(&folder, "disk"), folder.access());
            request.in_place = true;
            let done = imgfmt::compact(&request)?;
            assert!(done.after.unwrap() <= done.before.unwrap().max(1 << 20), "{kind:?}: {done:?}");
            Ok(())
        })?;
        folder.assert_whole("disk", *kind, "compacted")?;
    }
    Ok(())
}

#[test]
fn an_image_with_places_set_aside_is_committed_without_them() -> Outcome {
    let folder = Folder::new()?;
    if !has_holes(&folder)? {
        println!("skipped: this file system has no holes");
        return Ok(());
    }
    let base = Kind { format: "qcow2", options: "" };
    create(&folder, base, "disk", None)?;
    let top = Kind { format: "qcow2", options: "preallocation=metadata" };
    create(&folder, top, "top", None)?;
    let mut rename =
        RebaseRequest::new(folder.path("top"), Some(ParentName { name: "disk".into(), format: Some("qcow2".into()) }));
    (rename.source, rename.access, rename.unchecked) = (top.source(&folder, "top"), folder.access(), true);
    imgfmt::rebase(&rename).map_err(|e| whole(&e))?;
    reads_little("commit of places set aside", || {
        let mut request = CommitRequest::new(folder.path("top"));
        (request.source, request.access) = (top.source(&folder, "top"), folder.access());
        imgfmt::commit(&request).map(drop)
    })?;
    folder.assert_whole("disk", base, "committed to")
}
