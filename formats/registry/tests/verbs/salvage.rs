//! `convert` that goes on where a source cannot be read: images that are cut anywhere.

use std::ops::Range;

use imgfmt::convert::Lost;
use imgfmt::{ConvertRequest, ErrorKind, Options, Pipes};

use super::support::{Folder, KINDS, Kind, Outcome, disk, whole};

/// What can be read of the image called `disk`, whose sources are `format`, and what was lost.
fn salvaged(folder: &Folder, format: &str) -> Result<(Vec<u8>, Lost), imgfmt::Error> {
    let mut request = ConvertRequest::new(folder.path("disk"), folder.path("rescued.raw"), "raw");
    request.sources[0].format = Some(format.into());
    request.access = folder.access();
    request.salvage = true;
    let lost = imgfmt::convert(&request)?.lost;
    let bytes = std::fs::read(folder.path("rescued.raw")).map_err(|e| imgfmt::Error::io("the target", e))?;
    Ok((bytes, lost))
}

/// Checks that what is lost is zero, and all else as it was.
fn assert_rescued(bytes: &[u8], rescued: &[u8], lost: &Lost, what: &str) -> Outcome {
    assert_eq!(rescued.len(), bytes.len(), "{what}");
    assert!(lost.is_exact(), "{what}");
    let mut wanted = bytes.to_vec();
    for Range { start, end } in &lost.ranges {
        wanted[usize::try_from(*start)?..usize::try_from(*end)?].fill(0);
    }
    let first = rescued.iter().zip(&wanted).position(|(a, b)| a != b);
    assert_eq!(first, None, "{what}: the first byte that differs; lost are {:?}", lost.ranges);
    Ok(())
}

/// The file of an image that holds its data, called `name`.
fn data_file(folder: &Folder, kind: Kind) -> Outcome<String> {
    let other = match kind.options {
        _ if kind.options.contains("twoGb") => "disk-s001",
        _ if kind.options.contains("Flat") => "disk-flat",
        _ => "disk",
    };
    Ok(folder
        .names()?
        .into_iter()
        .find(|name| name == other || name.starts_with(&format!("{other}.")))
        .ok_or("no file")?)
}

/// Cuts the file called `name` by so many bytes, and says to what length.
fn cut(folder: &Folder, name: &str, by: u64) -> Outcome<u64> {
    let file = std::fs::OpenOptions::new().write(true).open(folder.path(name))?;
    let len = file.metadata()?.len().saturating_sub(by);
    file.set_len(len)?;
    Ok(len)
}

#[test]
fn of_an_image_that_was_cut_all_is_had_that_is_there() -> Outcome {
    let bytes = disk(6 << 20, 31);
    for kind in KINDS {
        for by in CUTS {
            let folder = Folder::new()?;
            kind.make(&folder, "disk", &bytes)?;
            let name = data_file(&folder, *kind)?;
            let left = cut(&folder, &name, by)?;
            let what = format!("{kind:?}, {name} cut by {by} to {left}");
            // Nothing else says that this file is a disk, and how large.
            if kind.options == "subformat=fixed" && by > 512 {
                let error = salvaged(&folder, kind.format).expect_err("there is no footer");
                assert!(whole(&error).contains("there is no footer"), "{what}: {}", whole(&error));
                continue;
            }
            let (rescued, lost) = salvaged(&folder, kind.format).map_err(|e| format!("{what}: {}", whole(&e)))?;
            if kind.format == "raw" {
                assert!(lost.is_empty() && rescued == bytes[..rescued.len()], "{what}");
                continue;
            }
            assert_rescued(&bytes, &rescued, &lost, &what)?;
            // Nothing but what is not there, where tables are in front of the data.
            let sectors = by.next_multiple_of(512) + 512;
            assert!(kind.options.contains("cluster_size=4k") || lost.bytes <= sectors, "{what}: {lost:?}");
            assert!(left < 4 << 20 || by > 70_000 || lost.bytes <= sectors, "{what}: {lost:?}");
        }
    }
    Ok(())
}

#[test]
fn a_compressed_unit_that_was_cut_is_lost_and_no_other() -> Outcome {
    let bytes = disk(6 << 20, 32);
    for cluster in ["4k", "64k"] {
        for by in CUTS {
            let folder = Folder::new()?;
            folder.raw("source.raw", &bytes)?;
            let mut request = ConvertRequest::new(folder.path("source.raw"), folder.path("disk"), "qcow2");
            request.options = Options::parse(&format!("cluster_size={cluster}"))?;
            request.compress = true;
            imgfmt::convert(&request).map_err(|e| whole(&e))?;
            let left = cut(&folder, "disk", by)?;
            let what = format!("{cluster}, cut by {by} to {left}");
            match salvaged(&folder, "qcow2") {
                Ok((rescued, lost)) => assert_rescued(&bytes, &rescued, &lost, &what)?,
                // The table of all tables is behind the data.
                Err(error) => assert_eq!(error.kind(), ErrorKind::OutOfBounds, "{what}: {}", whole(&error)),
            }
        }
    }
    Ok(())
}

#[test]
fn a_stream_that_was_cut_is_had_as_far_as_it_goes() -> Outcome {
    let bytes = disk(6 << 20, 33);
    let kind = Kind { format: "vmdk", options: "subformat=streamOptimized" };
    for by in CUTS {
        let folder = Folder::new()?;
        kind.make(&folder, "disk", &bytes)?;
        let left = cut(&folder, "disk", by)?;
        let mut request = ConvertRequest::new("-", folder.path("rescued.raw"), "raw");
        request.sources[0].format = Some("vmdk".into());
        request.salvage = true;
        let input: Box<dyn std::io::Read + Send> = Box::new(std::fs::File::open(folder.path("disk"))?);
        let done = imgfmt::convert_piped(&request, Pipes { input: Some(input), output: None });
        let what = format!("cut by {by} to {left}");
        match done {
            Ok(done) => {
                let rescued = std::fs::read(folder.path("rescued.raw"))?;
                assert_rescued(&bytes, &rescued, &done.lost, &what)?;
                // At most all that comes behind the first unit that was cut.
                let first = done.lost.ranges.first().map_or(u64::MAX, |range| range.start);
                assert!(left < 1 << 20 || first > 1 << 20, "{what}: {:?}", done.lost);
            }
            Err(error) => assert!(left < 70_000, "{what}: {}", whole(&error)),
        }
    }
    Ok(())
}

#[test]
fn without_salvage_an_image_that_was_cut_is_an_error() -> Outcome {
    let bytes = disk(6 << 20, 31);
    for kind in KINDS.iter().filter(|kind| kind.format != "raw") {
        let folder = Folder::new()?;
        kind.make(&folder, "disk", &bytes)?;
        cut(&folder, &data_file(&folder, *kind)?, 1_000_513)?;
        let mut request = ConvertRequest::new(folder.path("disk"), folder.path("rescued.raw"), "raw");
        request.sources[0].format = Some(kind.format.into());
        request.access = folder.access();
        assert!(imgfmt::convert(&request).is_err(), "{kind:?}");
        assert!(!super::support::exists(&folder.path("rescued.raw")));
    }
    Ok(())
}

/// Where files are cut, from the end: within a sector, a cluster, a grain, a block, and deep.
const CUTS: [u64; 5] = [1, 70_001, 300_000, 1_000_513, 3_000_000];
