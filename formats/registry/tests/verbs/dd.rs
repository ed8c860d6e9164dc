//! `dd`.

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex, PoisonError};

use imgfmt::{DdRequest, Pipes};

use super::support::{Folder, KINDS, Kind, Outcome, disk, whole};

/// Bytes that went into a pipe.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is copied of `bytes`.
fn window(bytes: &[u8], block: usize, skip: usize, count: Option<usize>) -> Vec<u8> {
    let start = (skip * block).min(bytes.len());
    let end = count.map_or(bytes.len(), |count| (start + count * block).min(bytes.len()));
    bytes[start..end].to_vec()
}

/// Blocks, skips and counts: of sectors and odd ones, within the disk and beyond.
const CASES: [(usize, usize, Option<usize>); 6] = [
    (512, 0, None),
    (4096, 3, Some(5)),
    (65536, 1, Some(1000)),
    (512, 129, Some(3)),
    (512, 1 << 20, None),
    (1000, 7, Some(512)),
];

#[test]
fn a_part_of_any_kind_of_image_is_copied() -> Outcome {
    let folder = Folder::new()?;
    let bytes = disk(2 << 20, 24);
    for kind in KINDS {
        kind.make(&folder, "disk", &bytes)?;
        for (block, skip, count) in CASES {
            let mut request = DdRequest::new(folder.path("disk"), folder.path("out"));
            request.input.format = Some(kind.format.into());
            request.access = folder.access();
            (request.block_size, request.skip, request.count) = (block as u64, skip as u64, count.map(|x| x as u64));
            imgfmt::dd(&request).map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
            let read = std::fs::read(folder.path("out"))?;
            assert!(read == window(&bytes, block, skip, count), "{kind:?} {block} {skip} {count:?}");
        }
    }
    Ok(())
}

#[test]
fn a_compressed_image_is_cut_within_its_units() -> Outcome {
    let folder = Folder::new()?;
    let bytes = disk(1 << 20, 25);
    folder.raw("source.raw", &bytes)?;
    let mut convert = imgfmt::ConvertRequest::new(folder.path("source.raw"), folder.path("disk"), "qcow2");
    convert.sources[0].format = Some("raw".into());
    convert.compress = true;
    imgfmt::convert(&convert)?;
    for format in ["raw", "qcow2"] {
        let mut request = DdRequest::new(folder.path("disk"), folder.path("out"));
        request.output_format = format.into();
        (request.skip, request.count) = (3, Some(1000));
        imgfmt::dd(&request).map_err(|e| whole(&e))?;
        assert!(folder.read("out", format)? == window(&bytes, 512, 3, Some(1000)), "{format}");
    }
    Ok(())
}

#[test]
fn the_output_is_as_large_as_it_shall_be() -> Outcome {
    let folder = Folder::new()?;
    let bytes = disk(1 << 20, 26);
    KINDS[1].make(&folder, "disk", &bytes)?;
    for size in [1 << 19, 1 << 20, 3 << 20] {
        let mut request = DdRequest::new(folder.path("disk"), folder.path("out"));
        request.output_size = Some(size);
        imgfmt::dd(&request).map_err(|e| whole(&e))?;
        let mut wanted = bytes.clone();
        wanted.resize(usize::try_from(size)?, 0);
        assert!(std::fs::read(folder.path("out"))? == wanted, "{size}");
    }
    Ok(())
}

#[test]
fn an_image_that_is_there_is_written_into_and_stays_one() -> Outcome {
    for kind in std::iter::once(KINDS[0]).chain(Kind::edited()) {
        let folder = Folder::new()?;
        let (mut bytes, part) = (disk(2 << 20, 28), disk(1 << 20, 29));
        kind.make(&folder, "disk", &bytes)?;
        folder.raw("part.raw", &part)?;
        let mut request = DdRequest::new(folder.path("part.raw"), folder.path("disk"));
        (request.input.format, request.output_format) = (Some("raw".into()), kind.format.into());
        (request.in_place, request.access) = (true, folder.access());
        (request.skip, request.count) = (8, Some(1001));
        imgfmt::dd(&request).map_err(|e| format!("{kind:?}: {}", whole(&e)))?;
        bytes[..1001 * 512].copy_from_slice(&part[8 * 512..1009 * 512]);
        folder.assert_holds("disk", kind, &bytes, "with a part of another")?;
    }
    Ok(())
}

#[test]
fn pipes_take_the_place_of_files() -> Outcome {
    let folder = Folder::new()?;
    let bytes = disk(1 << 20, 27);
    KINDS[1].make(&folder, "disk", &bytes)?;
    for format in ["raw", "qcow2"] {
        let input = if format == "raw" { bytes.clone() } else { std::fs::read(folder.path("disk"))? };
        for (block, skip, count) in CASES {
            let mut request = DdRequest::new("-", "-");
            request.input.format = Some(format.into());
            (request.block_size, request.skip, request.count) = (block as u64, skip as u64, count.map(|x| x as u64));
            let sink = Sink::default();
            let pipes =
                Pipes { input: Some(Box::new(Cursor::new(input.clone()))), output: Some(Box::new(sink.clone())) };
            imgfmt::dd_piped(&request, pipes).map_err(|e| format!("{format}: {}", whole(&e)))?;
            let read = sink.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            assert!(read == window(&bytes, block, skip, count), "{format} {block} {skip} {count:?}: {}", read.len());
        }
    }
    Ok(())
}

#[test]
fn a_part_of_a_disk_takes_the_place_of_no_file_of_it() -> Outcome {
    let folder = Folder::new()?;
    let bytes = disk(1 << 20, 9);
    folder.raw("disk", &bytes)?;
    let mut convert = imgfmt::ConvertRequest::new(folder.path("disk"), folder.path("image"), "vmdk");
    convert.options = imgfmt::Options::parse("subformat=monolithicFlat")?;
    imgfmt::convert(&convert).map_err(|e| whole(&e))?;
    for name in ["image", "image-flat"] {
        let mut request = DdRequest::new(folder.path("image"), folder.path(name));
        (request.count, request.access) = (Some(1), folder.access());
        assert_eq!(imgfmt::dd(&request).map_err(|e| e.kind()).err(), Some(imgfmt::ErrorKind::Invalid), "{name}");
        assert_eq!(folder.read("image", "vmdk")?, bytes, "{name}");
    }
    Ok(())
}
