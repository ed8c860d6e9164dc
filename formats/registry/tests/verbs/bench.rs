//! `bench`.

use imgfmt::{BenchRequest, ErrorKind};

use super::support::{Folder, KINDS, Kind, Outcome, disk, whole};

#[test]
fn all_requests_are_done_wherever_they_end() -> Outcome {
    let folder = Folder::new()?;
    for kind in KINDS {
        kind.make(&folder, "disk", &disk(1 << 20, 28))?;
        let mut request = BenchRequest::new(folder.path("disk"));
        request.source.format = Some(kind.format.into());
        request.access = folder.access();
        (request.count, request.depth) = (1000, 7);
        for step in [None, Some(0), Some(100_000), Some(5 << 20)] {
            request.step = step;
            let done = imgfmt::bench(&request).map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
            assert_eq!((done.requests, done.bytes), (1000, 1000 * 4096));
        }
        request.offset = 1 << 20;
        assert_eq!(imgfmt::bench(&request).map_err(|e| e.kind()), Err(ErrorKind::Invalid));
    }
    Ok(())
}

#[test]
fn what_is_written_is_there_and_nothing_else_changes() -> Outcome {
    for kind in Kind::edited() {
        for no_drain in [false, true] {
            let folder = Folder::new()?;
            let mut bytes = disk(1 << 20, 29);
            kind.make(&folder, "disk", &bytes)?;
            let mut request = BenchRequest::new(folder.path("disk"));
            request.source.format = Some(kind.format.into());
            request.access = folder.access();
            (request.count, request.depth, request.write, request.pattern) = (40, 5, true, 0x5a);
            (request.step, request.offset) = (Some(8192), 4096);
            (request.flush_interval, request.no_drain) = (Some(16), no_drain);
            imgfmt::bench(&request).map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
            for part in bytes.chunks_mut(8192).take(40) {
                part[4096..].fill(0x5a);
            }
            folder.assert_holds("disk", kind, &bytes, "written")?;
        }
    }
    Ok(())
}

#[test]
fn parts_of_units_are_written_over_a_backing_file() -> Outcome {
    for kind in Kind::layered() {
        let folder = Folder::new()?;
        let mut bytes = disk(2 << 20, 30);
        kind.make(&folder, "base", &bytes)?;
        kind.make_on(&folder, "disk", "base", None)?;
        let mut request = BenchRequest::new(folder.path("disk"));
        request.source.format = Some(kind.format.into());
        request.access = folder.access();
        (request.count, request.depth, request.write, request.pattern) = (256, 8, true, 0x77);
        (request.step, request.buffer_size) = (Some(8192), 512);
        imgfmt::bench(&request).map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
        for part in bytes.chunks_mut(8192) {
            part[..512].fill(0x77);
        }
        folder.assert_holds("disk", kind, &bytes, "written")?;
    }
    Ok(())
}
