//! `commit`.

use imgfmt::{CommitRequest, ErrorKind, Image};

use super::support::{Folder, Kind, Outcome, disk, whole};

/// A request for the image called `name`.
fn request<'a>(folder: &'a Folder, kind: Kind, name: &str) -> CommitRequest<'a> {
    let mut request = CommitRequest::new(folder.path(name));
    request.source.format = Some(kind.format.into());
    request.access = folder.access();
    request
}

/// Does it.
fn commit(request: &CommitRequest<'_>, kind: Kind) -> Outcome<u64> {
    imgfmt::commit(request).map(|done| done.bytes).map_err(|e| format!("{kind:?}: {}", whole(&e)).into())
}

/// How many bytes the image itself stores.
fn stored(folder: &Folder, kind: Kind, name: &str) -> Outcome<u64> {
    let layer = imgfmt::open_layer(&folder.path(name), Some(kind.format), &folder.access())?.0;
    Ok(imgfmt::ByteCounts::of(layer.image.as_ref())?.allocated())
}

/// Base, middle and top, each with a megabyte of its own, and what each holds.
fn chain(kind: Kind, top_len: usize) -> Outcome<(Folder, [Vec<u8>; 3])> {
    let folder = Folder::new()?;
    let base = disk(4 << 20, 12);
    kind.make(&folder, "base", &base)?;
    kind.make_on(&folder, "middle", "base", None)?;
    let mut middle = base.clone();
    middle[1 << 20..2 << 20].copy_from_slice(&disk(1 << 20, 13));
    kind.write(&folder, "middle", 1 << 20, &middle[1 << 20..2 << 20])?;
    kind.make_on(&folder, "top", "middle", Some(top_len as u64))?;
    let mut top = middle.clone();
    top.resize(top_len, 0);
    let last = top_len - (1 << 20);
    // Noise, and zeros where something was.
    top[last..].copy_from_slice(&disk(1 << 20, 14));
    top[last + (256 << 10)..last + (512 << 10)].fill(0);
    kind.write(&folder, "top", last as u64, &top[last..])?;
    Ok((folder, [base, middle, top]))
}

#[test]
fn an_image_is_written_into_the_one_below_and_emptied() -> Outcome {
    for kind in Kind::layered() {
        for top_len in [4 << 20, 6 << 20] {
            let (folder, [_, _, top]) = chain(kind, top_len)?;
            let bytes = commit(&request(&folder, kind, "top"), kind)?;
            assert!((1..=3 << 20).contains(&bytes), "{kind:?}: {bytes}");
            folder.assert_holds("middle", kind, &top, "committed")?;
            folder.assert_holds("top", kind, &top, "emptied")?;
            assert_eq!(stored(&folder, kind, "top")?, 0, "{kind:?}");
        }
    }
    Ok(())
}

#[test]
fn an_image_that_is_kept_stays_as_it_is() -> Outcome {
    for kind in Kind::layered() {
        let (folder, [_, _, top]) = chain(kind, 4 << 20)?;
        let mut request = request(&folder, kind, "top");
        request.keep = true;
        let before = stored(&folder, kind, "top")?;
        commit(&request, kind)?;
        folder.assert_holds("middle", kind, &top, "committed")?;
        folder.assert_holds("top", kind, &top, "kept")?;
        assert_eq!(stored(&folder, kind, "top")?, before, "{kind:?}");
    }
    Ok(())
}

#[test]
fn several_layers_are_written_into_a_base_further_down() -> Outcome {
    for kind in Kind::layered() {
        let (folder, [_, _, top]) = chain(kind, 6 << 20)?;
        let mut request = request(&folder, kind, "top");
        request.base = Some(folder.path("base"));
        commit(&request, kind)?;
        folder.assert_holds("base", kind, &top, "committed")?;
        folder.assert_holds("top", kind, &top, "as before")?;
        request.base = Some(folder.path("source.raw"));
        assert_eq!(imgfmt::commit(&request).map_err(|e| e.kind()), Err(ErrorKind::Invalid));
    }
    Ok(())
}

#[test]
fn a_base_of_another_format_takes_what_is_above() -> Outcome {
    let bases = Kind::edited().filter(|kind| kind.abilities().reparent.is_none());
    for base in bases {
        for kind in Kind::layered().filter(|kind| kind.format == "qcow2") {
            let folder = Folder::new()?;
            let mut bytes = disk(4 << 20, 15);
            base.make(&folder, "base", &bytes)?;
            let mut create = imgfmt::CreateImage::new(folder.path("top"), kind.format, 6 << 20);
            create.options = imgfmt::Options::parse(kind.options)?;
            create.backing = Some(imgfmt::ParentName { name: "base".into(), format: Some(base.format.into()) });
            create.access = folder.access();
            imgfmt::create(&create).map_err(|e| whole(&e))?;
            // The base becomes larger.
            bytes.resize(6 << 20, 0);
            bytes[1 << 20..2 << 20].copy_from_slice(&disk(1 << 20, 16));
            bytes[5 << 20..].copy_from_slice(&disk(1 << 20, 17));
            for part in [1 << 20..2 << 20, 5 << 20..6 << 20] {
                kind.write(&folder, "top", part.start as u64, &bytes[part.clone()])?;
            }
            commit(&request(&folder, kind, "top"), kind)?;
            folder.assert_holds("base", base, &bytes, "committed")?;
            folder.assert_holds("top", kind, &bytes, "emptied")?;
        }
    }
    Ok(())
}

#[test]
fn an_image_that_stands_alone_has_nowhere_to_go() -> Outcome {
    let folder = Folder::new()?;
    for kind in Kind::layered() {
        let bytes = disk(1 << 20, 17);
        kind.make(&folder, "top", &bytes)?;
        assert_eq!(imgfmt::commit(&request(&folder, kind, "top")).map_err(|e| e.kind()), Err(ErrorKind::Invalid));
        let disk = imgfmt::open(&folder.path("top"), Some(kind.format), &folder.access())?;
        assert_eq!(disk.size(), 1 << 20);
        folder.assert_holds("top", kind, &bytes, "as it was")?;
    }
    Ok(())
}
