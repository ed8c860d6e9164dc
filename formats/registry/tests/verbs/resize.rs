//! `resize`.

use imgfmt::{ErrorKind, Options, ResizeRequest, SizeChange, WOULD_SHRINK};

use super::support::{Folder, Kind, Outcome, disk, whole};

#[test]
fn a_disk_grows_with_zeros_and_shrinks_only_when_it_may() -> Outcome {
    let folder = Folder::new()?;
    for kind in Kind::edited() {
        let mut bytes = disk(3 << 20, 7);
        kind.make(&folder, "disk", &bytes)?;
        let mut request = ResizeRequest::new(folder.path("disk"), SizeChange::Grow(2 << 20));
        request.source.format = Some(kind.format.into());
        request.access = folder.access();
        let resized = imgfmt::resize(&request).map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
        assert_eq!((resized.before, resized.after), (3 << 20, 5 << 20));
        bytes.resize(5 << 20, 0);
        folder.assert_holds("disk", kind, &bytes, "grown")?;

        request.change = SizeChange::Shrink(4 << 20);
        let error = imgfmt::resize(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(whole(&error).ends_with(WOULD_SHRINK), "{}", whole(&error));
        folder.assert_holds("disk", kind, &bytes, "not shrunk")?;

        request.shrink = true;
        match imgfmt::resize(&request) {
            Ok(resized) => {
                assert_eq!((resized.before, resized.after), (5 << 20, 1 << 20));
                bytes.truncate(1 << 20);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{kind:?}: {}", whole(&error)),
        }
        folder.assert_holds("disk", kind, &bytes, "shrunk")?;

        request.change = SizeChange::Shrink(1 << 40);
        assert_eq!(imgfmt::resize(&request).map_err(|e| e.kind()), Err(ErrorKind::Invalid));
        request.change = SizeChange::To(bytes.len() as u64);
        assert_eq!(imgfmt::resize(&request)?.after, bytes.len() as u64);
        folder.assert_holds("disk", kind, &bytes, "as it was")?;
    }
    Ok(())
}

/// How a disk gets another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// `resize`.
    Resize,
    /// `amend`.
    Amend,
}

/// Makes the disk called "top" `size` bytes large.
fn grow(folder: &Folder, kind: Kind, size: u64, by: By) -> imgfmt::Result<()> {
    if by == By::Amend {
        let options = Options::parse(&format!("size={size}"))?;
        return imgfmt::amend(&kind.source(folder, "top"), &options, false, &folder.access());
    }
    let mut request = ResizeRequest::new(folder.path("top"), SizeChange::To(size));
    request.source.format = Some(kind.format.into());
    request.access = folder.access();
    imgfmt::resize(&request).map(drop)
}

#[test]
fn a_disk_goes_on_where_its_parent_ends_or_does_not() -> Outcome {
    for kind in Kind::layered() {
        let amends = kind.abilities().amend.is_some_and(|amend| amend.options().iter().any(|spec| spec.name == "size"));
        let ways = if amends { &[By::Resize, By::Amend][..] } else { &[By::Resize] };
        // The parent ends with the disk, within its last unit, and behind it; the disk ends within a unit of most kinds.
        for parent_len in [(2 << 20) + 5 * 512, (2 << 20) + 512, 3 << 20] {
            ways.iter().try_for_each(|by| goes_on(kind, parent_len, *by))?;
        }
    }
    Ok(())
}

/// Has a disk on a parent of `parent_len` bytes grow.
fn goes_on(kind: Kind, parent_len: usize, by: By) -> Outcome {
    let folder = Folder::new()?;
    let size = (2 << 20) + 5 * 512;
    let mut bytes = disk(parent_len, 13);
    kind.make(&folder, "base", &bytes)?;
    let made = kind.make_on(&folder, "top", "base", Some(size as u64));
    if kind.format != "qcow2" && made.is_err() {
        return Ok(());
    }
    made?;
    bytes.resize(size, 0);
    folder.assert_holds("top", kind, &bytes, "at first")?;
    match grow(&folder, kind, 10 << 20, by) {
        Ok(()) => bytes.resize(10 << 20, 0),
        Err(error) => assert!(kind.format != "qcow2", "{kind:?}, {by:?}: {}", whole(&error)),
    }
    folder.assert_holds("top", kind, &bytes, &format!("larger by {by:?}, on {parent_len}"))?;
    if kind.format == "qcow2" && parent_len <= size {
        // What the parent does not have needs no entry.
        let stored = std::fs::metadata(folder.path("top"))?.len();
        assert!(stored < 512 << 10, "{kind:?}: {stored} bytes");
    }
    Ok(())
}
