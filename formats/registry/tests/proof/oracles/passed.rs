//! Compressed bodies move from image to image as they are.

use std::collections::BTreeMap;

use imgfmt::convert::Convert;
use imgfmt::{Codec, ExtentKind, Image, ImageExt};

use crate::support::Outcome;
use crate::support::compare::{open, same_guest};
use crate::support::disks::mixed;
use crate::support::engine::Recipe;
use crate::support::qemu::QemuImg;

#[test]
fn a_stream_optimised_vmdk_keeps_its_deflate_bodies_as_qcow2() -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("disk.raw"), mixed().bytes)?;
    qemu.make(folder.path(), "disk.raw", "-O vmdk -o subformat=streamOptimized", "disk.vmdk")?;
    let source = open(&path("disk.vmdk"), None)?;
    let mut before = bodies(&source)?;
    assert!(before.len() > 100, "only {} grains", before.len());
    // The last grain is no whole cluster, and is compressed anew with zeros behind it.
    before.retain(|guest, _| source.size() - guest >= CLUSTER_LEN as u64);
    for trust_encoded in [false, true] {
        let convert = Convert { trust_encoded, ..Convert::default() };
        Recipe::qcow2("").compressed().write_with(&convert, &source, &path("disk.qcow2"))?;
        qemu.check(&path("disk.qcow2"))?;
        qemu.compare(&path("disk.qcow2"), "qcow2", &path("disk.raw"))?;
        let after = bodies(&open(&path("disk.qcow2"), None)?)?;
        let kept = after.iter().filter(|(guest, body)| before.get(guest).is_some_and(|old| body.starts_with(old)));
        // A body that fills its cluster is stored plain; nothing else may get lost.
        let (kept, small) = (kept.count(), before.values().filter(|body| body.len() < CLUSTER_LEN).count());
        assert_eq!(kept, small, "of {} grains", before.len());
    }
    // With a level, everything is compressed anew.
    Recipe::qcow2("compression_level=9").compressed().write(&source, &path("anew.qcow2"))?;
    let anew = bodies(&open(&path("anew.qcow2"), None)?)?;
    assert!(!anew.iter().any(|(guest, body)| before.get(guest).is_some_and(|old| body.starts_with(old))));
    Ok(())
}

#[test]
fn what_is_passed_through_is_no_longer_than_what_qemu_compresses() -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("disk.raw"), mixed().bytes)?;
    qemu.make(folder.path(), "disk.raw", "-O vmdk -o subformat=streamOptimized", "disk.vmdk")?;
    qemu.run(folder.path(), &["convert", "-f", "vmdk", "-O", "qcow2", "-c", "disk.vmdk", "theirs.qcow2"])?;
    Recipe::qcow2("").compressed().write(&open(&path("disk.vmdk"), None)?, &path("ours.qcow2"))?;
    // Its file ends with the last stream, ours with the last cluster.
    let theirs = path("theirs.qcow2").metadata()?.len().next_multiple_of(CLUSTER_LEN as u64);
    let ours = path("ours.qcow2").metadata()?.len();
    assert!(ours <= theirs, "{ours} bytes, and {theirs} by qemu-img");
    Ok(())
}

#[test]
fn qcow2_to_qcow2_keeps_the_streams_of_the_same_codec() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    for (options, other) in [("", "compression_type=zstd"), ("compression_type=zstd", "")] {
        Recipe::qcow2(options).compressed().write(&mixed().image(), &path("a.qcow2"))?;
        let source = open(&path("a.qcow2"), None)?;
        let mut before = bodies(&source)?;
        // Of a stream of few sectors too little is known to tell two codecs apart.
        before.retain(|_, body| body.len() > 4 * SECTOR_LEN);
        assert!(before.len() > 100, "only {} clusters", before.len());
        let kept = |after: &BTreeMap<u64, Vec<u8>>| {
            after.iter().filter(|(guest, body)| before.get(guest).is_some_and(|old| same_start(old, body))).count()
        };
        Recipe::qcow2(options).compressed().write(&source, &path("same.qcow2"))?;
        let same = open(&path("same.qcow2"), None)?;
        assert_eq!(kept(&bodies(&same)?), before.len(), "{options}");
        Recipe::qcow2(other).compressed().write(&source, &path("other.qcow2"))?;
        let other = open(&path("other.qcow2"), None)?;
        assert_eq!(kept(&bodies(&other)?), 0, "{options}");
        same_guest(&same, &other)?;
    }
    Ok(())
}

/// The compressed streams of an image by guest byte, as bare deflate where they are zlib, and up to the end of their
/// last sector where the format tells no more.
fn bodies(image: &dyn Image) -> Outcome<BTreeMap<u64, Vec<u8>>> {
    let mut bodies = BTreeMap::new();
    image.visit_extents(0..image.size(), &mut |extent| {
        if let ExtentKind::Encoded(unit) = extent.kind {
            let source = &image.sources()[unit.source.0 as usize];
            let len = u64::from(unit.stored_len).min(source.len() - unit.host);
            let mut stored = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
            source.read_at(&mut stored, unit.host)?;
            let body = image.stored_body(extent.start, &unit, &stored)?;
            let (head, tail) = if unit.codec == Codec::Zlib { (2, 4) } else { (0, 0) };
            bodies.insert(extent.start, stored[body.start + head..body.end - tail].to_vec());
        }
        Ok(())
    })?;
    Ok(bodies)
}

/// Whether two streams are alike, as far as both are known to go: what follows in their last sectors is not.
fn same_start(left: &[u8], right: &[u8]) -> bool {
    let known = left.len().min(right.len()).saturating_sub(SECTOR_LEN);
    left[..known] == right[..known] && left.len().abs_diff(right.len()) <= SECTOR_LEN
}

/// Bytes of a cluster by default.
const CLUSTER_LEN: usize = 65_536;
/// Bytes of a sector.
const SECTOR_LEN: usize = 512;
