//! Damages: for everything that a check can find, an image that has it.

use imgfmt_core::{Repair, Severity};

use crate::image::{COPIED, Image, OFFSET};

/// A damage, and what a check is to say of it.
pub(crate) struct Damage {
    /// What is found.
    pub(crate) id: &'static str,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What mends it.
    pub(crate) repair: Option<Repair>,
    /// The image.
    pub(crate) image: Image,
}

/// An image with clusters of 512 bytes, and refcounts of 16 bits.
pub(crate) fn small() -> Image {
    Image::written("cluster_size=512", false)
}

/// An image with clusters of 4 KiB, in which not every sector is a cluster border.
fn middle() -> Image {
    Image::written("cluster_size=4k", false)
}

/// An image with subclusters.
fn extended() -> Image {
    Image::written("extended_l2=on,cluster_size=16k", false)
}

/// An image with a snapshot.
fn snapshot() -> Image {
    Image::sample("valid/snapshot.qcow2")
}

/// An image with bitmaps.
fn bitmaps() -> Image {
    Image::sample("valid/bitmaps.qcow2")
}

/// `image`, damaged by `damage`.
fn with(mut image: Image, damage: impl FnOnce(&mut Image)) -> Image {
    damage(&mut image);
    image
}

/// All damages.
pub(crate) fn all() -> Vec<Damage> {
    let all = Some(Repair::All);
    let of = |severity, repair| move |id, image| Damage { id, severity, repair, image };
    let mendable = of(Severity::Corruption, all);
    let corruption = of(Severity::Corruption, None);
    let warning = of(Severity::Warning, None);
    let mut list = vec![
        of(Severity::Leak, Some(Repair::Leaks))(
            "qcow2-refcount-high",
            with(small(), |i| i.set_refcount(i.host(3) / 512, 3)),
        ),
        mendable("qcow2-refcount-low", with(small(), |i| i.set_refcount(i.host(3) / 512, 0))),
        of(Severity::Corruption, Some(Repair::Leaks))(
            "qcow2-l1-copied",
            with(small(), |i| i.change(i.l1_at(0), |entry| entry ^ COPIED)),
        ),
        of(Severity::Corruption, Some(Repair::Leaks))(
            "qcow2-l2-copied",
            with(small(), |i| i.change(i.l2_at(3), |entry| entry ^ COPIED)),
        ),
        of(Severity::Warning, Some(Repair::Leaks))(
            "qcow2-autoclear-unknown",
            Image::sample("valid/autoclear-unknown.qcow2"),
        ),
        of(Severity::Warning, all)("qcow2-dirty", Image::sample("valid/dirty.qcow2")),
        of(Severity::Warning, all)("qcow2-corrupt", Image::sample("valid/corrupt.qcow2")),
        warning("qcow2-l2-cut", Image::sample("valid/map-l2-cut.qcow2")),
        warning("qcow2-bitmaps-stale", Image::sample("valid/bitmaps-stale.qcow2")),
        corruption("qcow2-compressed-external", Image::sample("malformed/data-file-compressed.qcow2")),
        corruption("qcow2-data-file-offset", Image::sample("malformed/data-file-offset.qcow2")),
        corruption("qcow2-luks-too-long", with(Image::sample("valid/luks-xts.qcow2"), lengthen_luks)),
    ];
    list.extend(refcount_structures().into_iter().map(|(id, image)| mendable(id, image)));
    list.extend(mendable_entries().into_iter().map(|(id, image)| mendable(id, image)));
    list.extend(entries().into_iter().map(|(id, image)| corruption(id, image)));
    list.extend(lists().into_iter().map(|(id, image)| corruption(id, image)));
    list.extend(warnings().into_iter().map(|(id, image)| warning(id, image)));
    list
}

/// Damages of the refcount structures.
fn refcount_structures() -> Vec<(&'static str, Image)> {
    vec![
        ("qcow2-refcount-table-lost", with(small(), |i| i.change(48, |at| at + 8))),
        ("qcow2-refcount-table-outside", with(small(), |i| i.put(48, 1 << 30))),
        ("qcow2-refcount-table-reserved", with(small(), |i| i.change(i.u64(48), |entry| entry | 1))),
        ("qcow2-refcount-block-unaligned", with(middle(), |i| i.change(i.u64(48), |entry| entry + 512))),
        ("qcow2-refcount-block-outside", with(small(), |i| i.put(i.u64(48), 1 << 30))),
        ("qcow2-refcount-block-twice", with(small(), |i| i.put(i.u64(48) + 8, i.u64(i.u64(48))))),
        ("qcow2-overlap-refcounts", with(small(), |i| i.put(i.l2_at(3), i.u64(i.u64(48)) | COPIED))),
    ]
}

/// Damages of entries that can be mended.
fn mendable_entries() -> Vec<(&'static str, Image)> {
    let compressed = || Image::written("cluster_size=4k", true);
    vec![
        ("qcow2-l1-reserved", with(small(), |i| i.change(i.l1_at(0), |entry| entry | 2))),
        ("qcow2-l2-reserved", with(small(), |i| i.change(i.l2_at(3), |entry| entry | 2))),
        ("qcow2-compressed-copied", with(compressed(), |i| i.change(i.l2_at(0), |entry| entry | COPIED))),
        ("qcow2-compressed-bitmap", with(Image::written("extended_l2=on", true), |i| i.put(i.l2_at(0) + 8, 7))),
        ("qcow2-zero-unaligned", with(middle(), |i| i.change(i.l2_at(3), |entry| (entry + 512) | 1))),
        ("qcow2-zero-outside", with(small(), |i| i.put(i.l2_at(3), 1 << 30 | 1))),
    ]
}

/// Damages of entries that cannot be mended.
fn entries() -> Vec<(&'static str, Image)> {
    vec![
        (
            "qcow2-refcount-overflow",
            with(Image::written("cluster_size=512,refcount_bits=1", false), |i| {
                i.put(i.l2_at(3), i.u64(i.l2_at(4)));
            }),
        ),
        ("qcow2-overlap", with(small(), |i| i.put(i.l2_at(3), i.u64(40) | COPIED))),
        ("qcow2-metadata-outside", with(small(), |i| i.put(40, 1 << 30))),
        ("qcow2-l1-lost", with(small(), |i| i.change(40, |at| at + 8))),
        ("qcow2-l2-unaligned", with(middle(), |i| i.change(i.l1_at(0), |entry| entry + 512))),
        ("qcow2-l2-outside", with(small(), |i| i.put(i.l1_at(0), 1 << 30))),
        (
            "qcow2-l2-zero-v2",
            with(Image::written("compat=0.10,cluster_size=512", false), |i| {
                i.change(i.l2_at(3), |entry| entry | 1);
            }),
        ),
        ("qcow2-data-unaligned", with(middle(), |i| i.change(i.l2_at(3), |entry| entry + 512))),
        ("qcow2-data-outside", with(small(), |i| i.put(i.l2_at(3), 1 << 30))),
        (
            "qcow2-data-cut",
            with(small(), |i| {
                let end = (i.0.len() as u64).next_multiple_of(512);
                i.0.resize(usize::try_from(end).unwrap() + 100, 0);
                i.put(i.l2_at(3), end);
            }),
        ),
        ("qcow2-subcluster-both", with(extended(), |i| i.put(i.l2_at(0) + 8, 1 | 1 << 32))),
        ("qcow2-subcluster-no-cluster", with(extended(), |i| i.put(i.l2_at(0), 0))),
    ]
}

/// Damages of snapshots and bitmaps that cannot be mended.
fn lists() -> Vec<(&'static str, Image)> {
    vec![
        (
            "qcow2-table-overlap",
            with(snapshot(), |i| {
                let (table, entries) = (i.u64(40), i.u32(36));
                i.put(i.u64(64), table);
                i.put32(i.u64(64) + 8, entries + 1);
            }),
        ),
        ("qcow2-snapshots-lost", with(snapshot(), |i| i.change(64, |at| at + 8))),
        ("qcow2-snapshot-malformed", with(snapshot(), |i| i.put32(i.u64(64) + 36, 1025))),
        ("qcow2-snapshot-incomplete", with(snapshot(), |i| i.put32(i.u64(64) + 36, 8))),
        ("qcow2-snapshot-l1-unaligned", with(snapshot(), |i| i.change(i.u64(64), |at| at + 8))),
        ("qcow2-snapshot-l1-too-large", with(snapshot(), |i| i.put32(i.u64(64) + 8, 5 << 20))),
        ("qcow2-snapshot-l1-short", with(snapshot(), |i| i.put32(i.u64(64) + 8, 1))),
        ("qcow2-bitmaps-malformed", with(bitmaps(), |i| i.put(bitmap_extension(i) + 16, 1 << 30))),
        ("qcow2-bitmap-table-unaligned", with(bitmaps(), |i| i.change(bitmap_entry(i), |at| at + 8))),
        ("qcow2-bitmap-entry", with(bitmaps(), |i| i.change(i.u64(bitmap_entry(i)), |entry| entry | 2))),
    ]
}

/// What is worth a warning.
fn warnings() -> Vec<(&'static str, Image)> {
    let two = || Image::sample("valid/snapshots-of-other-sizes.qcow2");
    vec![
        (
            "qcow2-snapshot-id-twice",
            with(two(), |i| {
                let (first, second) = (snapshot_id(i, 0), snapshot_id(i, 1));
                let byte = i.0[first];
                i.0[second] = byte;
            }),
        ),
        ("qcow2-snapshot-name-twice", with(two(), |i| (0..2).for_each(|index| unname(i, index)))),
        ("qcow2-bitmap-in-use", with(bitmaps(), |i| i.put32(bitmap_entry(i) + 12, i.u32(bitmap_entry(i) + 12) | 1))),
        (
            "qcow2-bitmap-table-length",
            with(bitmaps(), |i| i.put32(bitmap_entry(i) + 8, i.u32(bitmap_entry(i) + 8) + 1)),
        ),
    ]
}

/// Where the data of the bitmaps extension is.
fn bitmap_extension(image: &Image) -> u64 {
    extension(image, 0x2385_2875)
}

/// Where the data of the header extension `kind` is.
fn extension(image: &Image, kind: u32) -> u64 {
    let mut at = u64::from(image.u32(100));
    while image.u32(at) != kind {
        assert_ne!(image.u32(at), 0, "there is no such extension");
        at += 8 + u64::from(image.u32(at + 4)).next_multiple_of(8);
    }
    at + 8
}

/// Where the first entry of the bitmap directory is.
fn bitmap_entry(image: &Image) -> u64 {
    image.u64(bitmap_extension(image) + 16)
}

/// Where entry `index` of the snapshot table is.
fn snapshot_entry(image: &Image, index: usize) -> u64 {
    let mut at = image.u64(64);
    for _ in 0..index {
        let lens = image.u32(at + 12);
        at +=
            (40 + u64::from(image.u32(at + 36)) + u64::from(lens >> 16) + u64::from(lens & 0xffff)).next_multiple_of(8);
    }
    at
}

/// Where the id of entry `index` of the snapshot table is.
fn snapshot_id(image: &Image, index: usize) -> usize {
    let at = snapshot_entry(image, index);
    usize::try_from(at + 40 + u64::from(image.u32(at + 36))).unwrap()
}

/// Takes the name from snapshot `index`: its bytes become extra data, so that the entry keeps its length.
fn unname(image: &mut Image, index: usize) {
    let (at, id) = (snapshot_entry(image, index), snapshot_id(image, index));
    let (id_len, name_len) = (image.u32(at + 12) >> 16, image.u32(at + 12) & 0xffff);
    let (id_end, by) = (id + usize::try_from(id_len).unwrap(), usize::try_from(name_len).unwrap());
    image.0.copy_within(id..id_end, id + by);
    image.put32(at + 12, id_len << 16);
    image.put32(at + 36, image.u32(at + 36) + name_len);
}

/// Makes the LUKS header a terabyte long.
fn lengthen_luks(image: &mut Image) {
    let at = extension(image, 0x0537_be77) + 8;
    image.put(at, 1 << 40);
}

/// Whether an entry names a cluster; for tests that look for one.
pub(crate) fn names(entry: u64) -> bool {
    entry & OFFSET != 0
}
