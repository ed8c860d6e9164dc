//! Layouts that no writer makes: the map is exactly what the entries and bitmaps say.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{DenyAll, Extent, ExtentKind, Format, ImageExt, Limits, MemoryStorage, OpenContext, SourceId};
use imgfmt_vhdx::Vhdx;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::build::{File, MIB, Shape};
use crate::config;

/// A block whose entry is not 0.
#[derive(Clone, Debug)]
enum Special {
    /// In one of the states in which nothing is stored.
    Idle(u64),
    /// Stored.
    Full,
    /// Stored in part: runs of sectors, by their lengths, that are in turn the parent's and stored.
    Partial(Vec<u16>),
}

/// A layout: the shape, and blocks near the borders of chunks.
#[derive(Clone, Debug)]
struct Layout {
    /// What the disk is like.
    shape: Shape,
    /// Blocks whose entries are not 0.
    specials: BTreeMap<u64, Special>,
}

/// Any layout with a few stored blocks, in disks of up to three chunks.
fn layouts() -> impl Strategy<Value = Layout> {
    let shape = (any::<bool>(), any::<bool>(), 0..=1u32, 0..3u64, 1..40u64, 0..7u64);
    let special = prop_oneof![
        proptest::sample::select(vec![1u64, 2, 3, 5]).prop_map(Special::Idle),
        Just(Special::Full),
        proptest::collection::vec(0..900u16, 0..9).prop_map(Special::Partial),
    ];
    let specials = proptest::collection::vec((0..3u64, -3..=3i64, special), 0..6);
    (shape, specials).prop_map(|((large_sector, parent, bits, chunks, blocks, cut), specials)| {
        let (sector, block) = (if large_sector { 4096 } else { 512 }, MIB << bits);
        let chunk = (sector << 23) / block;
        let size = (chunks * chunk + blocks) * block - cut * sector;
        let near = |(number, by, special): (u64, i64, Special)| {
            let index = (number * chunk).saturating_add_signed(by).min(chunks * chunk + blocks - 1);
            let special = if parent || !matches!(special, Special::Partial(_)) { special } else { Special::Full };
            (index, special)
        };
        let specials = specials.into_iter().map(near).collect();
        Layout { shape: Shape { size, block, sector, parent }, specials }
    })
}

/// The file of a layout, and the extents that its map shall have.
fn build(layout: &Layout) -> (Vec<u8>, Vec<Extent>) {
    let shape = &layout.shape;
    let chunk = (shape.sector << 23) / shape.block;
    let mut file = File::new(shape);
    let mut bitmaps = BTreeMap::new();
    let mut extents = Expected { extents: Vec::new(), size: shape.size };
    let absent = if shape.parent { ExtentKind::Parent } else { ExtentKind::Zero { explicit: false } };
    for (&index, special) in &layout.specials {
        let start = index * shape.block;
        extents.push_until(start, absent);
        let bat = index + index / chunk;
        match special {
            Special::Idle(state) => {
                file.entry(bat, *state | 0xabc << 20);
                extents.push_until(start + shape.block, ExtentKind::Zero { explicit: true });
            }
            Special::Full => {
                let host = file.append(shape.block, 0x5a);
                file.entry(bat, host | 6);
                extents.push_until(start + shape.block, ExtentKind::Data { source: SourceId(0), host });
            }
            Special::Partial(runs) => {
                let host = file.append(shape.block, 0x5a);
                file.entry(bat, host | 7);
                let bitmap = *bitmaps.entry(index / chunk).or_insert_with(|| file.append(MIB, 0));
                file.entry((index / chunk + 1) * (chunk + 1) - 1, bitmap | 6);
                let base = index % chunk * (shape.block / shape.sector);
                for (stored, run) in alternating(runs, shape.block / shape.sector) {
                    let data = ExtentKind::Data { source: SourceId(0), host: host + run.start * shape.sector };
                    extents.push_until(start + run.end * shape.sector, if stored { data } else { ExtentKind::Parent });
                    for bit in run.filter(|_| stored).map(|sector| base + sector) {
                        file.0[(bitmap + bit / 8) as usize] |= 1 << (bit % 8);
                    }
                }
            }
        }
    }
    extents.push_until(shape.size, absent);
    (file.0, extents.extents)
}

/// Runs of `count` sectors, in turn not stored and stored; what the lengths leave is as the run after the last.
fn alternating(lengths: &[u16], count: u64) -> Vec<(bool, Range<u64>)> {
    let (mut next, mut stored, mut runs) = (0, false, Vec::new());
    for len in lengths.iter().map(|&len| u64::from(len)).chain([count]) {
        let end = (next + len).min(count);
        if next < end {
            runs.push((stored, next..end));
        }
        (next, stored) = (end, !stored);
    }
    runs
}

/// Extents in the making, joined where they are alike.
struct Expected {
    /// The extents.
    extents: Vec<Extent>,
    /// Guest bytes of the disk.
    size: u64,
}

impl Expected {
    /// Adds what lies up to guest byte `end`.
    fn push_until(&mut self, end: u64, kind: ExtentKind) {
        let start = self.extents.last().map_or(0, Extent::end);
        let end = end.min(self.size);
        if start >= end {
            return;
        }
        match self.extents.last_mut() {
            Some(last) if follows(last, kind) => last.len += end - start,
            _ => self.extents.push(Extent { start, len: end - start, layer: 0, kind }),
        }
    }
}

/// Whether bytes of `kind` that come behind `last` are one extent with it.
fn follows(last: &Extent, kind: ExtentKind) -> bool {
    match (last.kind, kind) {
        (ExtentKind::Data { host, .. }, ExtentKind::Data { host: next, .. }) => host + last.len == next,
        (before, after) => before == after,
    }
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn the_map_is_what_entries_and_bitmaps_say(layout in layouts(), window in 1..5000u64) {
        let (bytes, expected) = build(&layout);
        let limits = Limits::default();
        let context = OpenContext::new(&limits, &DenyAll);
        let image = Vhdx.open(Arc::new(MemoryStorage::new(bytes)), &context).unwrap().image;
        assert_eq!(image.size(), layout.shape.size);
        // Asked for as a whole, and from places that no entry begins at.
        for from in [0, window * 512 % layout.shape.size, layout.shape.size - 1] {
            let mut found = Vec::new();
            let mut next = from;
            while next < image.size() {
                next = image.extents(next..image.size(), window as usize, &mut found).unwrap();
            }
            let mut joined = Expected { extents: Vec::new(), size: layout.shape.size };
            joined.extents.push(Extent { len: 0, ..found[0] });
            found.iter().for_each(|extent| joined.push_until(extent.end(), extent.kind));
            let wanted: Vec<_> = expected
                .iter()
                .filter(|extent| extent.end() > from)
                .map(|extent| extent.clipped(&(from..u64::MAX)))
                .collect();
            assert_eq!(joined.extents, wanted);
        }
    }
}
