//! Streams that are said to need a small window need no larger one.

use imgfmt::{ExtentKind, Image, ImageExt};

use crate::support::Outcome;
use crate::support::compare::{hash_of, open};
use crate::support::disks::mixed;
use crate::support::engine::Recipe;
use crate::support::libyal::{Libyal, Place};

#[test]
fn a_decoder_with_a_small_window_reads_every_cluster() -> Outcome {
    let Some(mut libyal) = Libyal::find()? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("disk.qcow2");
    let disk = mixed();
    for (options, window_bits) in [
        ("compression_window=4k", 12),
        ("compression_window=4k,compression_level=9,cluster_size=2M", 12),
        ("compression_window=4k,compat=0.10,cluster_size=16k", 12),
        ("compression_window=1k", 10),
        ("", 15),
    ] {
        Recipe::qcow2(options).compressed().write(&disk.image(), &path)?;
        let image = open(&path, None)?;
        let (streams, guest) = streams(&image, &disk.bytes)?;
        assert!(streams.len() > 3, "{options}: only {} clusters are compressed", streams.len());
        assert_eq!(libyal.inflate(&path, window_bits, &streams)?, hash_of(&guest).1, "{options}");
        if options.is_empty() {
            // The decoder does insist: what is meant for the full window it does not take.
            let error = libyal.inflate(&path, 12, &streams).expect_err("a window of 4 KiB is too small");
            assert!(error.to_string().contains("distance too far back"), "{error}");
        }
    }
    Ok(())
}

/// The compressed clusters of `image`, as host bytes and length, and what they hold, one behind the other.
fn streams(image: &dyn Image, disk: &[u8]) -> Outcome<(Vec<Place>, Vec<u8>)> {
    let (mut streams, mut guest) = (Vec::new(), Vec::new());
    image.visit_extents(0..image.size(), &mut |extent| {
        if let ExtentKind::Encoded(unit) = extent.kind {
            streams.push((unit.host, unit.stored_len));
            let start = usize::try_from(extent.start).unwrap_or(usize::MAX);
            let mut unit_bytes = disk[start..].to_vec();
            unit_bytes.resize(unit.unit as usize, 0);
            guest.extend(unit_bytes);
        }
        Ok(())
    })?;
    Ok((streams, guest))
}
