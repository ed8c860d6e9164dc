//! `resize`.

use imgfmt::{ErrorKind, ResizeRequest, SizeChange, WOULD_SHRINK};

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
