//! `compact`.

use imgfmt::{CompactRequest, ErrorKind};

use super::support::{Folder, KINDS, Kind, Outcome, disk, has_qemu_img, qemu_img, whole};

/// A request for the image called `name`.
fn request<'a>(folder: &'a Folder, kind: Kind, name: &str) -> CompactRequest<'a> {
    let mut request = CompactRequest::new(folder.path(name));
    request.source.format = Some(kind.format.into());
    request.access = folder.access();
    request
}

/// A disk of which two megabytes are to become zero.
fn wasteful(folder: &Folder, kind: Kind) -> Outcome<Vec<u8>> {
    let mut bytes = disk(6 << 20, 18);
    bytes[1 << 20..3 << 20].fill(7);
    kind.make(folder, "disk", &bytes)?;
    bytes[1 << 20..3 << 20].fill(0);
    Ok(bytes)
}

#[test]
fn zeros_that_were_written_take_no_space_any_more() -> Outcome {
    for kind in Kind::edited() {
        for in_place in [true, false] {
            let folder = Folder::new()?;
            let bytes = wasteful(&folder, kind)?;
            kind.write(&folder, "disk", 1 << 20, &bytes[1 << 20..3 << 20])?;
            let mut request = request(&folder, kind, "disk");
            request.in_place = in_place;
            let names = folder.names()?;
            match imgfmt::compact(&request) {
                Ok(done) => {
                    let fixed = kind.options.contains("ixed") || kind.options.contains("Flat");
                    assert!(fixed || done.after + (1 << 20) <= done.before, "{kind:?} {in_place}: {done:?}");
                }
                Err(error) if !in_place && error.kind() == ErrorKind::Unsupported && names.len() > 2 => {}
                Err(error) => return Err(format!("{kind:?} {in_place}: {}", whole(&error)).into()),
            }
            folder.assert_holds("disk", kind, &bytes, "compacted")?;
            let left = folder.names()?;
            assert!(left.iter().all(|name| name == "wanted.raw" || names.contains(name)), "{left:?}");
        }
    }
    Ok(())
}

#[test]
fn an_image_stays_what_it_was() -> Outcome {
    let folder = Folder::new()?;
    for (format, options) in [
        ("qcow2", "cluster_size=16k,refcount_bits=32,lazy_refcounts=on"),
        ("qcow2", "extended_l2=on,cluster_size=128k"),
        ("qcow2", "compat=0.10"),
        ("vmdk", "adapter_type=lsilogic,grain_size=32k"),
        ("vmdk", "subformat=streamOptimized"),
        ("vhd", "subformat=fixed"),
        ("vhd", "block_size=512k"),
        ("vhdx", "block_size=2M,log_size=2M,logical_sector_size=4096"),
        ("vdi", ""),
        ("vdi", "static=on"),
    ] {
        let kind = Kind { format, options };
        let bytes = disk(3 << 20, 19);
        kind.make(&folder, "disk", &bytes)?;
        let tell = || -> Outcome<_> {
            let mut description = imgfmt::open_layer(&folder.path("disk"), None, &folder.access())?.0.image.describe();
            for key in ["file-write-guid", "virtual-disk-id", "sequence-number", "time-stamp"] {
                description.details.remove(key);
            }
            Ok((
                description.subformat,
                description.cluster_size,
                description.identities.first().cloned(),
                description.specific,
                description.details,
            ))
        };
        let before = tell()?;
        imgfmt::compact(&request(&folder, kind, "disk")).map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
        let after = tell()?;
        assert_eq!(format!("{before:?}"), format!("{after:?}"), "{kind:?}");
        assert_eq!(folder.read("disk", format)?, bytes, "{kind:?}");
    }
    Ok(())
}

#[test]
fn compression_is_kept_added_and_taken_away() -> Outcome {
    let folder = Folder::new()?;
    let kind = KINDS[1];
    let mut bytes = vec![0; 4 << 20];
    imgfmt::conformance::Noise(20).text(&mut bytes);
    kind.make(&folder, "disk", &bytes)?;
    let len = || std::fs::metadata(folder.path("disk")).map(|metadata| metadata.len());
    let mut request = request(&folder, kind, "disk");
    let plain = len()?;
    for (compress, is_small) in [(None, false), (Some(true), true), (None, true), (Some(false), false)] {
        request.compress = compress;
        imgfmt::compact(&request).map_err(|e| whole(&e))?;
        assert_eq!(len()? < plain / 2, is_small, "{compress:?}");
        folder.assert_holds("disk", kind, &bytes, "compacted")?;
    }
    Ok(())
}

#[test]
fn a_layer_keeps_its_backing_file_and_hides_what_it_hid() -> Outcome {
    for kind in Kind::layered() {
        for in_place in [true, false] {
            let folder = Folder::new()?;
            let mut bytes = disk(4 << 20, 21);
            kind.make(&folder, "base", &bytes)?;
            kind.make_on(&folder, "disk", "base", None)?;
            bytes[1 << 20..2 << 20].fill(0);
            bytes[2 << 20..3 << 20].copy_from_slice(&disk(1 << 20, 22));
            kind.write(&folder, "disk", 1 << 20, &bytes[1 << 20..3 << 20])?;
            let mut request = request(&folder, kind, "disk");
            request.in_place = in_place;
            let done = imgfmt::compact(&request);
            if in_place || !kind.options.contains("twoGb") {
                done.map_err(|e| format!("{kind:?} {in_place}: {}", whole(&e)))?;
            }
            folder.assert_holds("disk", kind, &bytes, "compacted")?;
            assert!(imgfmt::open_layer(&folder.path("disk"), None, &folder.access())?.0.parent.is_some());
        }
    }
    Ok(())
}

#[test]
fn internal_snapshots_are_not_lost() -> Outcome {
    if !has_qemu_img() || KINDS[1].abilities().snapshots.is_none() {
        return Ok(());
    }
    let folder = Folder::new()?;
    KINDS[1].make(&folder, "disk", &disk(1 << 20, 23))?;
    qemu_img(&folder, &["snapshot", "-c", "one", "disk"])?;
    let request = request(&folder, KINDS[1], "disk");
    assert_eq!(imgfmt::compact(&request).map_err(|e| e.kind()), Err(ErrorKind::Unsupported));
    assert!(qemu_img(&folder, &["snapshot", "-l", "disk"])?.contains("one"));
    Ok(())
}
