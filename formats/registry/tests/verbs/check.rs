//! `check`.

use imgfmt::{CheckRequest, ErrorKind, Repair, Severity};

use super::support::{Folder, KINDS, Kind, Outcome, disk, whole};

#[test]
fn a_new_image_of_any_kind_is_whole() -> Outcome {
    let folder = Folder::new()?;
    for kind in KINDS {
        let bytes = disk(3 << 20, 1);
        kind.make(&folder, "disk", &bytes)?;
        folder.assert_whole("disk", *kind, "when it is new")?;
    }
    Ok(())
}

#[test]
fn a_truncated_image_is_told_of() -> Outcome {
    let folder = Folder::new()?;
    let one_file = |kind: &&Kind| !(kind.options.contains("Extent") || kind.options.contains("Flat"));
    for kind in KINDS.iter().filter(|kind| kind.abilities().check.is_some() && kind.format != "raw").filter(one_file) {
        kind.make(&folder, "disk", &disk(3 << 20, 2))?;
        let file = std::fs::OpenOptions::new().write(true).open(folder.path("disk"))?;
        file.set_len(file.metadata()?.len() / 2)?;
        let mut request = CheckRequest::new(folder.path("disk"));
        request.source.format = Some(kind.format.into());
        request.access = folder.access();
        let found = imgfmt::check(&request).map(|report| report.findings.total());
        assert!(!matches!(found, Ok(0)), "{kind:?}: nothing is found");
    }
    Ok(())
}

#[test]
fn what_is_wrapped_is_checked_and_not_repaired() -> Outcome {
    let folder = Folder::new()?;
    KINDS[1].make(&folder, "disk", &disk(1 << 20, 3))?;
    if !std::process::Command::new("gzip").arg(folder.path("disk")).status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let mut request = CheckRequest::new(folder.path("disk.gz"));
    request.deep = true;
    let report = imgfmt::check(&request).map_err(|e| whole(&e))?;
    assert_eq!((report.format, report.findings.total()), ("qcow2", 0));
    request.repair = Some(Repair::All);
    assert_eq!(imgfmt::check(&request).map(drop).map_err(|e| e.kind()), Err(ErrorKind::Unsupported));
    Ok(())
}

#[test]
fn a_compressed_unit_that_is_damaged_is_found_by_the_deep_check_alone() -> Outcome {
    let folder = Folder::new()?;
    folder.raw("source.raw", &disk(1 << 20, 4))?;
    let mut convert = imgfmt::ConvertRequest::new(folder.path("source.raw"), folder.path("disk"), "qcow2");
    convert.sources[0].format = Some("raw".into());
    convert.compress = true;
    imgfmt::convert(&convert)?;
    let mut bytes = std::fs::read(folder.path("disk"))?;
    let layer = imgfmt::open_layer(&folder.path("disk"), None, &folder.access())?.0;
    let mut units = Vec::new();
    imgfmt::ImageExt::visit_extents(layer.image.as_ref(), 0..1 << 20, &mut |extent| {
        if let imgfmt::ExtentKind::Encoded(unit) = extent.kind {
            units.push(unit);
        }
        Ok(())
    })?;
    let unit = units.get(1).ok_or("something is compressed")?;
    let at = usize::try_from(unit.host)?;
    bytes[at..at + 40].fill(0xff);
    std::fs::write(folder.path("disk"), bytes)?;
    let mut request = CheckRequest::new(folder.path("disk"));
    assert_eq!(imgfmt::check(&request)?.findings.total(), 0);
    request.deep = true;
    assert!(imgfmt::check(&request)?.findings.total() > 0);
    Ok(())
}

#[test]
fn damage_to_what_is_read_first_is_a_finding() -> Outcome {
    let folder = Folder::new()?;
    let request = |repair| CheckRequest { repair, access: folder.access(), ..CheckRequest::new(folder.path("disk")) };
    for (format, places) in [("qcow2", &[20][..]), ("vhdx", &[65_540, 131_076]), ("vdi", &[376]), ("vmdk", &[20])] {
        let kind = KINDS.iter().find(|kind| kind.format == format).ok_or("there is one of each")?;
        kind.make(&folder, "disk", &disk(1 << 20, 5))?;
        let mut bytes = std::fs::read(folder.path("disk"))?;
        places.iter().for_each(|at| bytes[*at..at + 4].copy_from_slice(&[3, 0, 0, 3]));
        std::fs::write(folder.path("disk"), &bytes)?;
        for repair in [None, Some(Repair::All)] {
            let report = imgfmt::check(&request(repair)).map_err(|e| whole(&e))?;
            let found: Vec<_> = report.findings.kept().iter().map(|one| (one.id, one.severity, one.offset)).collect();
            let place = places.first().map(|at| *at as u64);
            assert_eq!(found, [("image-unreadable", Severity::Corruption, place)], "{format} {repair:?}");
            assert_eq!(std::fs::read(folder.path("disk"))?, bytes, "{format}: nothing is mended");
        }
    }
    // What is not of the format that it is said to be is no damaged image of it.
    folder.raw("disk", &disk(1 << 20, 6))?;
    let mut other = request(None);
    other.source.format = Some("qcow2".into());
    assert!(imgfmt::check(&other).is_err());
    Ok(())
}
