//! `create`.

use std::time::{Duration, Instant};

use imgfmt::{CreateImage, ErrorKind, Image, Options, ParentName};

use super::support::{Folder, KINDS, Outcome, disk, exists, has_qemu_img, qemu_img, whole};

#[test]
fn a_new_image_reads_as_zeros() -> Outcome {
    let folder = Folder::new()?;
    for kind in KINDS {
        let mut request = CreateImage::new(folder.path("disk"), kind.format, 5 << 20);
        request.options = Options::parse(kind.options)?;
        assert_eq!(imgfmt::create(&request).map_err(|e| whole(&e))?.size, 5 << 20);
        folder.assert_holds("disk", *kind, &vec![0; 5 << 20], "when it is new")?;
    }
    Ok(())
}

#[test]
fn a_huge_image_takes_no_time() -> Outcome {
    let folder = Folder::new()?;
    for (format, size) in [
        ("raw", 1 << 43),
        ("qcow2", 64 << 40),
        ("vmdk", 2 << 40),
        ("vhd", 2000 << 30),
        ("vhdx", 64 << 40),
        ("vdi", 8 << 40),
        ("parallels", 8 << 40),
    ] {
        let start = Instant::now();
        imgfmt::create(&CreateImage::new(folder.path("disk"), format, size)).map_err(|e| whole(&e))?;
        assert!(start.elapsed() < Duration::from_secs(3), "{format}: {:?}", start.elapsed());
        assert_eq!(imgfmt::open(&folder.path("disk"), Some(format), &folder.access())?.size(), size, "{format}");
    }
    Ok(())
}

#[test]
fn an_image_on_another_one_reads_as_that_one() -> Outcome {
    let folder = Folder::new()?;
    let bytes = disk(3 << 20, 5);
    for kind in KINDS.iter().filter(|kind| kind.abilities().reparent.is_some() && !kind.options.contains("ixed")) {
        if kind.options.contains("Flat") {
            continue;
        }
        kind.make(&folder, "base", &bytes)?;
        kind.make_on(&folder, "top", "base", None)?;
        folder.assert_holds("top", *kind, &bytes, "on its base")?;
        let larger = bytes.len() + (1 << 20);
        kind.make_on(&folder, "top", "base", Some(larger as u64))?;
        let mut grown = bytes.clone();
        grown.resize(larger, 0);
        folder.assert_holds("top", *kind, &grown, "larger than its base")?;
    }
    Ok(())
}

#[test]
fn images_name_formats_as_others_know_them() -> Outcome {
    let folder = Folder::new()?;
    imgfmt::create(&CreateImage::new(folder.path("base"), "vhd", 1 << 20)).map_err(|e| whole(&e))?;
    for (given, unchecked) in [(None, false), (Some("vhd"), false), (Some("vpc"), false), (Some("vhd"), true)] {
        let mut request = CreateImage::new(folder.path("top"), "qcow2", 1 << 20);
        request.backing = Some(ParentName { name: "base".into(), format: given.map(str::to_owned) });
        request.unchecked_backing = unchecked;
        request.access = folder.access();
        imgfmt::create(&request).map_err(|e| whole(&e))?;
        let (opened, _) = imgfmt::open_layer(&folder.path("top"), Some("qcow2"), &folder.access())?;
        let format = opened.parent.and_then(|parent| parent.format);
        assert_eq!(format.as_deref(), Some("vpc"), "{given:?}");
        imgfmt::open(&folder.path("top"), Some("qcow2"), &folder.access())?;
    }
    Ok(())
}

#[test]
fn what_cannot_be_made_leaves_what_was_there() -> Outcome {
    let folder = Folder::new()?;
    folder.raw("disk", b"old")?;
    let mut request = CreateImage::new(folder.path("disk"), "qcow2", 1 << 20);
    request.options = Options::parse("cluster_size=3")?;
    assert!(imgfmt::create(&request).is_err());
    request.options = Options::new();
    request.size = None;
    assert_eq!(imgfmt::create(&request).map_err(|e| e.kind()), Err(ErrorKind::Invalid));
    request.backing = Some(ParentName { name: "none".into(), format: None });
    assert_eq!(imgfmt::create(&request).map_err(|e| e.kind()), Err(ErrorKind::Missing));
    request.backing = Some(ParentName { name: "disk".into(), format: None });
    assert_eq!(imgfmt::create(&request).map_err(|e| e.kind()), Err(ErrorKind::Invalid));
    assert_eq!(folder.names()?, ["disk"]);
    assert_eq!(std::fs::read(folder.path("disk"))?, b"old");
    Ok(())
}

#[test]
fn an_unchecked_backing_file_need_not_be_there() -> Outcome {
    let folder = Folder::new()?;
    let mut request = CreateImage::new(folder.path("top"), "qcow2", 1 << 20);
    request.backing = Some(ParentName { name: "later".into(), format: Some("raw".into()) });
    request.unchecked_backing = true;
    imgfmt::create(&request)?;
    assert!(!exists(&folder.path("later")));
    let bytes = disk(1 << 20, 6);
    folder.raw("later", &bytes)?;
    assert_eq!(folder.read("top", "qcow2")?, bytes);
    if has_qemu_img() {
        let info = qemu_img(&folder, &["info", "top"])?;
        assert!(info.contains("backing file: later") && info.contains("backing file format: raw"), "{info}");
    }
    Ok(())
}

#[test]
fn a_new_image_takes_the_place_of_no_part_of_what_it_builds_on() -> Outcome {
    let folder = Folder::new()?;
    let bytes = disk(1 << 20, 7);
    folder.raw("disk", &bytes)?;
    for (format, options, part) in
        [("qcow2", "data_file=part", "part"), ("vmdk", "subformat=twoGbMaxExtentFlat", "base-f001")]
    {
        let mut convert = imgfmt::ConvertRequest::new(folder.path("disk"), folder.path("base"), format);
        convert.options = Options::parse(options)?;
        imgfmt::convert(&convert).map_err(|e| whole(&e))?;
        let part = folder.path(part);
        let before = std::fs::read(&part)?;
        let mut request = CreateImage::new(&part, "qcow2", 1 << 20);
        request.access = folder.access();
        request.backing = Some(ParentName { name: "base".into(), format: Some(format.into()) });
        assert_eq!(imgfmt::create(&request).map_err(|e| e.kind()), Err(ErrorKind::Invalid), "{format}");
        assert_eq!(std::fs::read(&part)?, before, "{format}");
        assert_eq!(folder.read("base", format)?, bytes, "{format}");
    }
    Ok(())
}

#[test]
fn a_data_file_takes_the_place_of_no_layer_below_and_of_no_image() -> Outcome {
    let folder = Folder::new()?;
    let bytes = disk(1 << 20, 8);
    folder.raw("base", &bytes)?;
    let on = |name: &str, parent: &str, format: &str, options: &str| -> Outcome<_> {
        let mut request = CreateImage::new(folder.path(name), "qcow2", 1 << 20);
        request.access = folder.access();
        request.options = Options::parse(options)?;
        request.backing = Some(ParentName { name: parent.into(), format: Some(format.into()) });
        Ok(imgfmt::create(&request).map_err(|e| e.kind()))
    };
    assert!(on("middle", "base", "raw", "")?.is_ok());
    assert_eq!(on("top", "middle", "qcow2", "data_file=base")?, Err(ErrorKind::Invalid));
    std::os::unix::fs::symlink("top", folder.path("link"))?;
    std::os::unix::fs::symlink(".", folder.path("here"))?;
    for itself in ["./top", "link", "here/top"] {
        let done = on("top", "middle", "qcow2", &format!("data_file={itself}"))?;
        assert_eq!(done, Err(ErrorKind::Invalid), "{itself}");
        assert!(!exists(&folder.path("top")), "{itself}");
    }
    assert_eq!(folder.read("middle", "qcow2")?, bytes);
    Ok(())
}
