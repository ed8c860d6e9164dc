//! `bitmap`.

use imgfmt::{BitmapAction, Bitmaps, ConvertRequest, ErrorKind, Source};

use super::support::{Folder, Kind, Outcome, disk, has_qemu_img, qemu_img, whole};

/// The dirty bytes of the bitmap called `bitmap` of the image called `name`; `None` where there is none.
fn dirty(folder: &Folder, name: &str, bitmap: &str) -> Outcome<Option<u64>> {
    let layer = imgfmt::open_layer(&folder.path(name), None, &folder.access())?.0;
    let Some(bitmap) = layer.bitmaps.iter().find(|found| found.info().name == bitmap) else {
        return Ok(None);
    };
    let mut sum = 0;
    bitmap.visit_dirty(&mut |range| {
        sum += range.end - range.start;
        Ok(())
    })?;
    Ok(Some(sum))
}

#[test]
fn bitmaps_come_record_merge_and_go() -> Outcome {
    // Version 2 has no room for them.
    let capable = |kind: &Kind| kind.abilities().bitmaps.is_some() && !kind.options.contains("0.10");
    for kind in Kind::edited().filter(capable) {
        let folder = Folder::new()?;
        let mut bytes = disk(2 << 20, 35);
        kind.make(&folder, "disk", &bytes)?;
        kind.make(&folder, "other", &bytes)?;
        let access = folder.access();
        let change = |name: &str, bitmap: &str, actions: &[BitmapAction]| {
            let source = kind.source(&folder, name);
            imgfmt::change_bitmap(&source, bitmap, actions, &access).map_err(|e| format!("{kind:?}: {}", whole(&e)))
        };
        let add = BitmapAction::Add { granularity: Some(64 << 10) };
        change("disk", "a", std::slice::from_ref(&add))?;
        change("other", "b", std::slice::from_ref(&add))?;
        assert_eq!(dirty(&folder, "disk", "a")?, Some(0));
        bytes[1 << 20..(1 << 20) + (64 << 10)].fill(9);
        kind.write(&folder, "disk", 1 << 20, &bytes[1 << 20..(1 << 20) + (64 << 10)])?;
        assert_eq!(dirty(&folder, "disk", "a")?, Some(64 << 10), "{kind:?}");
        let merge = |from: &str, name: &str| BitmapAction::Merge {
            source: Source { path: folder.path(from), format: None },
            name: name.into(),
        };
        change("other", "b", &[merge("disk", "a")])?;
        assert_eq!(dirty(&folder, "other", "b")?, Some(64 << 10));
        change("disk", "c", &[add.clone(), merge("disk", "a"), BitmapAction::Disable])?;
        assert_eq!(dirty(&folder, "disk", "c")?, Some(64 << 10));
        change("disk", "a", &[BitmapAction::Clear])?;
        assert_eq!((dirty(&folder, "disk", "a")?, dirty(&folder, "disk", "c")?), (Some(0), Some(64 << 10)));
        if has_qemu_img() {
            let info = qemu_img(&folder, &["info", "disk"])?;
            assert!(info.contains("name: a") && info.contains("name: c"), "{info}");
        }
        change("disk", "a", &[BitmapAction::Remove])?;
        assert_eq!(dirty(&folder, "disk", "a")?, None);
        let source = kind.source(&folder, "disk");
        let gone = imgfmt::change_bitmap(&source, "a", &[BitmapAction::Clear], &access);
        assert_eq!(gone.map_err(|e| e.kind()), Err(ErrorKind::Missing));
        folder.assert_holds("disk", kind, &bytes, "with bitmaps")?;
    }
    Ok(())
}

#[test]
fn bitmaps_come_to_an_image_that_is_converted_onto() -> Outcome {
    let capable = |kind: &Kind| kind.abilities().bitmaps.is_some() && !kind.options.contains("0.10");
    for kind in Kind::edited().filter(capable) {
        let folder = Folder::new()?;
        let mut bytes = disk(2 << 20, 36);
        let access = folder.access();
        let add = [BitmapAction::Add { granularity: Some(32 << 10) }];
        for (name, bitmap) in [("disk", "a"), ("there", "own")] {
            kind.make(&folder, name, &bytes)?;
            imgfmt::change_bitmap(&kind.source(&folder, name), bitmap, &add, &access)?;
        }
        kind.make(&folder, "larger", &disk(3 << 20, 37))?;
        bytes[1 << 20..(1 << 20) + 512].fill(9);
        kind.write(&folder, "disk", 1 << 20, &bytes[1 << 20..(1 << 20) + 512])?;
        imgfmt::change_bitmap(&kind.source(&folder, "disk"), "a", &[BitmapAction::Disable], &access)?;
        let onto = |name: &str| {
            let request = ConvertRequest {
                in_place: true,
                bitmaps: Bitmaps::Copy,
                verify: true,
                access: access.clone(),
                ..ConvertRequest::new(folder.path("disk"), folder.path(name), kind.format)
            };
            imgfmt::convert(&request)
        };
        onto("there").map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
        folder.assert_holds("there", kind, &bytes, "converted onto")?;
        assert_eq!(dirty(&folder, "there", "a")?, Some(32 << 10), "{kind:?}");
        assert_eq!(dirty(&folder, "there", "own")?, Some(2 << 20), "{kind:?}: all was written over");
        let layer = imgfmt::open_layer(&folder.path("there"), None, &access)?.0;
        let recording = |name: &str| layer.bitmaps.iter().find(|b| b.info().name == name).map(|b| b.info().enabled);
        assert_eq!((recording("a"), recording("own")), (Some(false), Some(true)));
        // Its locks are in the way of what follows.
        drop(layer);
        // What cannot be done is known before anything is written.
        let before = std::fs::read(folder.path("larger"))?;
        for name in ["there", "larger"] {
            assert_eq!(onto(name).map_err(|e| e.kind()).err(), Some(ErrorKind::Invalid), "{kind:?} {name}");
        }
        assert!(std::fs::read(folder.path("larger"))? == before);
    }
    Ok(())
}
