//! `rebase`.

use imgfmt::convert::Cancel;
use imgfmt::{ErrorKind, ParentName, RebaseRequest};

use super::support::{Folder, Kind, Outcome, disk, has_qemu_img, qemu_img, whole};

/// A folder with two images called `old` and `new`, partly alike, and `top` on `old`, and what `top` holds.
fn folder(kind: Kind, new_len: usize) -> Outcome<(Folder, Vec<u8>)> {
    let folder = Folder::new()?;
    let mut bytes = disk(4 << 20, 8);
    kind.make(&folder, "old", &bytes)?;
    let mut new = disk(new_len, 9);
    let alike = (2 << 20).min(new_len);
    new[..alike].copy_from_slice(&bytes[..alike]);
    kind.make(&folder, "new", &new)?;
    kind.make_on(&folder, "top", "old", None)?;
    // One whole megabyte: a multiple of the unit of every kind.
    let own = disk(1 << 20, 10);
    kind.write(&folder, "top", 1 << 20, &own)?;
    bytes[1 << 20..2 << 20].copy_from_slice(&own);
    Ok((folder, bytes))
}

/// A request for `top`.
fn request<'a>(folder: &'a Folder, kind: Kind, name: Option<&str>) -> RebaseRequest<'a> {
    let backing = name.map(|name| ParentName { name: name.into(), format: None });
    let mut request = RebaseRequest::new(folder.path("top"), backing);
    request.source.format = Some(kind.format.into());
    request.access = folder.access();
    request
}

#[test]
fn the_disk_stays_the_same_on_another_backing_file() -> Outcome {
    for kind in Kind::layered() {
        // The same size, a shorter and a longer one.
        for new_len in [4 << 20, 3 << 20, 5 << 20] {
            let (folder, bytes) = folder(kind, new_len)?;
            imgfmt::rebase(&request(&folder, kind, Some("new"))).map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
            std::fs::remove_file(folder.path("old"))?;
            folder.assert_holds("top", kind, &bytes, "rebased")?;
        }
    }
    Ok(())
}

#[test]
fn an_image_stands_alone_and_builds_on_something_again() -> Outcome {
    for kind in Kind::layered() {
        let (folder, bytes) = folder(kind, 4 << 20)?;
        imgfmt::rebase(&request(&folder, kind, None)).map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
        std::fs::remove_file(folder.path("old"))?;
        folder.assert_holds("top", kind, &bytes, "alone")?;
        assert!(imgfmt::open_layer(&folder.path("top"), None, &folder.access())?.0.parent.is_none());
        match imgfmt::rebase(&request(&folder, kind, Some("new"))) {
            Ok(_) => folder.assert_holds("top", kind, &bytes, "on something again")?,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{kind:?}: {}", whole(&error)),
        }
        folder.assert_holds("top", kind, &bytes, "in the end")?;
    }
    Ok(())
}

#[test]
fn what_both_chains_share_is_not_written() -> Outcome {
    for kind in Kind::layered() {
        let folder = Folder::new()?;
        let bytes = disk(4 << 20, 11);
        kind.make(&folder, "base", &bytes)?;
        kind.make_on(&folder, "middle", "base", None)?;
        kind.make_on(&folder, "top", "middle", None)?;
        let stored = std::sync::atomic::AtomicU64::new(1);
        let progress = |progress: imgfmt::convert::Progress| {
            stored.store(progress.stored, std::sync::atomic::Ordering::Relaxed);
        };
        let mut request = request(&folder, kind, Some("base"));
        request.progress = Some(&progress);
        imgfmt::rebase(&request).map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
        assert_eq!(stored.load(std::sync::atomic::Ordering::Relaxed), 0, "{kind:?}");
        std::fs::remove_file(folder.path("middle"))?;
        folder.assert_holds("top", kind, &bytes, "without the middle")?;
    }
    Ok(())
}

#[test]
fn what_is_copied_is_compressed_where_the_format_can() -> Outcome {
    for kind in Kind::layered() {
        let (folder, bytes) = folder(kind, 4 << 20)?;
        let mut request = request(&folder, kind, Some("new"));
        request.compress = true;
        let done = imgfmt::rebase(&request);
        folder.assert_holds("top", kind, &bytes, "compressed")?;
        if kind.format != "qcow2" {
            let refused = done.map_err(|e| e.kind());
            assert_eq!(refused, Err(ErrorKind::Unsupported), "{kind:?}");
            continue;
        }
        done.map_err(|e| whole(&e))?;
        std::fs::remove_file(folder.path("old"))?;
        folder.assert_holds("top", kind, &bytes, "compressed, alone")?;
        assert!(counted(&folder, "top")? > 0, "{kind:?}");
    }
    Ok(())
}

#[test]
fn a_conversion_into_an_image_compresses_what_it_writes() -> Outcome {
    for kind in Kind::layered() {
        let (folder, _) = folder(kind, 4 << 20)?;
        // All but a whole unit, and the end of the disk stays.
        let part = disk((2 << 20) + 512, 12);
        std::fs::write(folder.path("part"), &part)?;
        let mut request = imgfmt::ConvertRequest::new(folder.path("part"), folder.path("old"), kind.format);
        (request.in_place, request.compress, request.verify) = (true, true, true);
        request.access = folder.access();
        let done = imgfmt::convert(&request);
        if kind.format != "qcow2" {
            assert_eq!(done.map(drop).map_err(|e| e.kind()), Err(ErrorKind::Unsupported), "{kind:?}");
            continue;
        }
        done.map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
        let mut bytes = disk(4 << 20, 8);
        bytes[..part.len()].copy_from_slice(&part);
        folder.assert_holds("old", kind, &bytes, "overwritten")?;
        assert!(counted(&folder, "old")? > 0, "{kind:?}");
    }
    Ok(())
}

/// Guest bytes that the image stores compressed.
fn counted(folder: &Folder, name: &str) -> Outcome<u64> {
    let request = imgfmt::InfoRequest { format: Some("qcow2"), count: true, files: false };
    let info = imgfmt::info(&folder.path(name), &request, &folder.access())?;
    Ok(info.counts.ok_or("they are counted")??.compressed)
}

#[test]
fn a_rebase_that_cannot_be_done_changes_nothing() -> Outcome {
    for kind in Kind::layered() {
        let (folder, bytes) = folder(kind, 4 << 20)?;
        let failed = |request: &RebaseRequest<'_>| imgfmt::rebase(request).map_err(|e| e.kind());
        assert_eq!(failed(&request(&folder, kind, Some("none"))), Err(ErrorKind::Missing), "{kind:?}");
        assert_eq!(failed(&request(&folder, kind, Some("top"))), Err(ErrorKind::Invalid), "{kind:?}");
        let cancelled = RebaseRequest { cancel: Cancel::default(), ..request(&folder, kind, Some("new")) };
        cancelled.cancel.cancel();
        assert_eq!(failed(&cancelled), Err(ErrorKind::Cancelled), "{kind:?}");
        folder.assert_holds("top", kind, &bytes, "as before")?;
    }
    Ok(())
}

#[test]
fn an_unchecked_rebase_changes_the_name_alone() -> Outcome {
    for kind in Kind::layered().filter(|kind| kind.format == "qcow2") {
        let (folder, _) = folder(kind, 4 << 20)?;
        let mut request = request(&folder, kind, Some("elsewhere"));
        request.unchecked = true;
        request.backing.as_mut().ok_or("there is a name")?.format = Some("raw".into());
        imgfmt::rebase(&request).map_err(|e| whole(&e))?;
        let description = imgfmt::open_layer(&folder.path("top"), None, &folder.access())?.0.image.describe();
        assert_eq!(description.parent.map(|parent| parent.name), Some("elsewhere".into()));
        if has_qemu_img() {
            assert!(qemu_img(&folder, &["info", "top"])?.contains("elsewhere"));
        }
    }
    Ok(())
}

#[test]
fn an_unchecked_rebase_looks_at_what_a_format_knows_its_parent_by() -> Outcome {
    for kind in Kind::layered() {
        let (folder, _) = folder(kind, 4 << 20)?;
        std::fs::copy(folder.path("old"), folder.path("moved"))?;
        let mut request = request(&folder, kind, Some("moved"));
        request.unchecked = true;
        imgfmt::rebase(&request).map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
        let description = imgfmt::open_layer(&folder.path("top"), None, &folder.access())?.0.image.describe();
        assert_eq!(description.parent.map(|parent| parent.name), Some("moved".into()), "{kind:?}");
        // It is known there by what it was known by before.
        std::fs::remove_file(folder.path("old"))?;
        imgfmt::open(&folder.path("top"), Some(kind.format), &folder.access()).map_err(|e| whole(&e))?;
    }
    Ok(())
}
