//! `compact`.

use imgfmt::{CheckRequest, CompactRequest, ConvertRequest, CreateImage, ErrorKind, Options, SnapshotAction};

use imgfmt::Image as _;

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
                    assert!(
                        fixed || done.after.unwrap() + (1 << 20) <= done.before.unwrap(),
                        "{kind:?} {in_place}: {done:?}"
                    );
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
        ("parallels", "cluster_size=64k"),
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

/// Bytes that the file called `name` takes on the host.
fn allocated(folder: &Folder, name: &str) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(folder.path(name))?.blocks() * 512)
}

#[test]
fn internal_snapshots_stay_and_the_rest_becomes_smaller() -> Outcome {
    let kind = KINDS[1];
    let folder = Folder::new()?;
    let mut bytes = vec![7; 8 << 20];
    imgfmt::conformance::Noise(23).fill(&mut bytes);
    kind.make(&folder, "disk", &bytes)?;
    let source = kind.source(&folder, "disk");
    imgfmt::snapshot(&source, &SnapshotAction::Create("one".into()), &folder.access())?;
    let old = bytes.clone();
    // Other bytes, and then zeros: what takes their place is not the snapshot's.
    bytes[..6 << 20].fill(9);
    kind.write(&folder, "disk", 0, &bytes[..6 << 20])?;
    bytes[..5 << 20].fill(0);
    kind.write(&folder, "disk", 0, &bytes[..5 << 20])?;
    let mut request = request(&folder, kind, "disk");
    let error = imgfmt::compact(&request).expect_err("a new image has no snapshots");
    assert!(
        error.kind() == ErrorKind::Unsupported && whole(&error).ends_with(imgfmt::WHERE_IT_IS),
        "{}",
        whole(&error)
    );
    request.in_place = true;
    let done = imgfmt::compact(&request).map_err(|e| whole(&e))?;
    assert!(done.after.unwrap() + (9 << 19) <= done.before.unwrap(), "{done:?}");
    folder.assert_holds("disk", kind, &bytes, "compacted")?;
    let access = imgfmt::Access { snapshot: Some("one"), ..folder.access() };
    let snapshot = imgfmt::open(&folder.path("disk"), Some("qcow2"), &access)?;
    let mut read = vec![0; old.len()];
    snapshot.read_at(&mut read, 0)?;
    assert!(read == old, "the snapshot is another one");
    drop(snapshot);
    imgfmt::snapshot(&source, &SnapshotAction::Apply("one".into()), &folder.access())?;
    folder.assert_holds("disk", kind, &old, "as it was")
}

#[test]
fn an_encrypted_image_keeps_its_keys_and_becomes_smaller() -> Outcome {
    let folder = Folder::new()?;
    let mut secrets = imgfmt::Secrets::new();
    secrets.add("sec0", "correct horse");
    let options = Options::parse("encrypt.key-secret=sec0")?;
    let access = || imgfmt::Access { secrets: &secrets, options: &options, ..folder.access() };
    let mut bytes = vec![0; 4 << 20];
    imgfmt::conformance::Noise(24).fill(&mut bytes);
    bytes[1 << 20..3 << 20].fill(0);
    folder.raw("source.raw", &bytes)?;
    let mut convert = ConvertRequest::new(folder.path("source.raw"), folder.path("disk"), "qcow2");
    // Zeros are stored, too, and so they are encrypted.
    (convert.full_allocation, convert.engine.zero_grain) = (true, None);
    convert.options = Options::parse("encrypt.format=luks,encrypt.key-secret=sec0,encrypt.iter-time=10")?;
    convert.access.secrets = &secrets;
    imgfmt::convert(&convert).map_err(|e| whole(&e))?;
    let header = std::fs::read(folder.path("disk"))?[..1 << 20].to_vec();
    let mut request = CompactRequest { access: access(), ..request(&folder, KINDS[1], "disk") };
    let error = imgfmt::compact(&request).expect_err("a new image has another key");
    assert!(
        error.kind() == ErrorKind::Unsupported && whole(&error).ends_with(imgfmt::WHERE_IT_IS),
        "{}",
        whole(&error)
    );
    request.in_place = true;
    let done = imgfmt::compact(&request).map_err(|e| whole(&e))?;
    assert!(done.after.unwrap() + (2 << 20) <= done.before.unwrap() + 65_536, "{done:?}");
    let disk = imgfmt::open(&folder.path("disk"), Some("qcow2"), &access())?;
    let mut read = vec![0; bytes.len()];
    disk.read_at(&mut read, 0)?;
    assert!(read == bytes, "other bytes");
    drop(disk);
    // The slots lie behind the header, and are what they were.
    let now = std::fs::read(folder.path("disk"))?;
    assert!(now.get(65_536..1 << 18) == header.get(65_536..1 << 18), "other slots");
    let report = imgfmt::check(&CheckRequest { access: access(), ..CheckRequest::new(folder.path("disk")) });
    let findings = report.map_err(|e| whole(&e))?.findings;
    assert_eq!(findings.total(), 0, "{:?}", findings.kept());
    if has_qemu_img() {
        let (secret, image) =
            ("secret,id=sec0,data=correct horse", "driver=qcow2,encrypt.key-secret=sec0,file.filename=disk");
        qemu_img(&folder, &["check", "--object", secret, "--image-opts", image])?;
    }
    Ok(())
}

#[test]
fn an_image_of_several_files_is_compacted_where_it_is_or_elsewhere() -> Outcome {
    for kind in KINDS.iter().filter(|kind| kind.options.contains("twoGb") || kind.options.contains("Flat")) {
        let folder = Folder::new()?;
        let bytes = wasteful(&folder, *kind)?;
        kind.write(&folder, "disk", 1 << 20, &bytes[1 << 20..3 << 20])?;
        let mut request = request(&folder, *kind, "disk");
        let error = imgfmt::compact(&request).expect_err("files cannot be replaced together");
        let told = whole(&error);
        assert!(error.kind() == ErrorKind::Unsupported && told.ends_with(imgfmt::WHERE_IT_IS), "{told}");
        request.output = Some(folder.path("small"));
        imgfmt::compact(&request).map_err(|e| whole(&e))?;
        folder.assert_holds("small", *kind, &bytes, "written elsewhere")?;
        (request.output, request.in_place) = (None, true);
        let done = imgfmt::compact(&request).map_err(|e| whole(&e))?;
        assert!(done.after.unwrap() + (1 << 20) <= done.before.unwrap(), "{kind:?}: {done:?}");
        folder.assert_holds("disk", *kind, &bytes, "compacted")?;
    }
    Ok(())
}

#[test]
fn free_space_within_a_file_is_given_back_and_the_tail_is_cut() -> Outcome {
    let folder = Folder::new()?;
    let kind = KINDS[1];
    let mut bytes = vec![0; 8 << 20];
    imgfmt::conformance::Noise(25).fill(&mut bytes);
    for (zeros, is_cut) in [(1 << 20..7 << 20, false), (2 << 20..8 << 20, true)] {
        let mut bytes = bytes.clone();
        // What is written later lies behind the tables.
        imgfmt::create(&CreateImage::new(folder.path("disk"), "qcow2", 8 << 20)).map_err(|e| whole(&e))?;
        kind.write(&folder, "disk", 0, &bytes)?;
        let before = (std::fs::metadata(folder.path("disk"))?.len(), allocated(&folder, "disk")?);
        bytes[zeros.clone()].fill(0);
        kind.write(&folder, "disk", zeros.start as u64, &bytes[zeros.clone()])?;
        let mut request = request(&folder, kind, "disk");
        request.in_place = true;
        imgfmt::compact(&request).map_err(|e| whole(&e))?;
        let after = (std::fs::metadata(folder.path("disk"))?.len(), allocated(&folder, "disk")?);
        assert_eq!(after.0 + (5 << 20) < before.0, is_cut, "{zeros:?}: {before:?} {after:?}");
        assert!(after.1 + (5 << 20) < before.1, "{zeros:?}: {before:?} {after:?}");
        folder.assert_holds("disk", kind, &bytes, "compacted")?;
    }
    Ok(())
}

#[test]
fn clusters_that_another_program_left_behind_are_given_back() -> Outcome {
    use std::os::unix::fs::FileExt;

    let folder = Folder::new()?;
    let kind = KINDS[1];
    let mut bytes = disk(4 << 20, 26);
    kind.make(&folder, "disk", &bytes)?;
    bytes[1 << 20..3 << 20].fill(0);
    kind.write(&folder, "disk", 1 << 20, &bytes[1 << 20..3 << 20])?;
    let mut request = request(&folder, kind, "disk");
    request.in_place = true;
    imgfmt::compact(&request).map_err(|e| whole(&e))?;
    let small = allocated(&folder, "disk")?;
    // A program that gives clusters up need not give their space back.
    let mut unused = Vec::new();
    let (limits, vacant) = (imgfmt::Limits::default(), kind.abilities().vacant.ok_or("it is known what is unused")?);
    let context = imgfmt::OpenContext::new(&limits, &imgfmt::DenyAll);
    let storage = imgfmt::FileStorage::open(&folder.path("disk"))?;
    vacant.vacant(&storage, &context, &mut |range| {
        unused.push(range);
        Ok(())
    })?;
    let file = std::fs::OpenOptions::new().write(true).open(folder.path("disk"))?;
    for range in &unused {
        file.write_all_at(&vec![0xa5; usize::try_from(range.end - range.start)?], range.start)?;
    }
    file.sync_all()?;
    folder.assert_holds("disk", kind, &bytes, "with bytes that nothing uses")?;
    assert!(allocated(&folder, "disk")? > small + (1 << 20), "{unused:?}");
    imgfmt::compact(&request).map_err(|e| whole(&e))?;
    assert!(allocated(&folder, "disk")? <= small + 65_536, "{unused:?}");
    folder.assert_holds("disk", kind, &bytes, "compacted")
}
