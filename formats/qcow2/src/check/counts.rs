//! How often each host cluster is used, and as what: counted for as many clusters as memory allows.
//!
//! Counts are kept for the units that are used at all. Where they take too much memory, the highest are forgotten and
//! the window of clusters that is counted ends before them; the next window begins there, in another pass.

use std::collections::BTreeMap;
use std::ops::Range;

/// What a cluster is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    /// Metadata that has its clusters for itself: header, L1 tables, snapshots, bitmaps, LUKS header.
    Fixed = 1 << 11,
    /// An L2 table.
    Table = 1 << 12,
    /// A cluster of guest data, or a zero cluster that keeps its place.
    Data = 1 << 13,
    /// Compressed guest data, which shares clusters with its like.
    Compressed = 1 << 14,
    /// The refcount table and its blocks.
    Refcounts = 1 << 15,
}

/// Everything that a cluster is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u16);

impl Kinds {
    /// Whether two uses of a cluster cannot both be right, where it is used `count` times in all.
    pub(super) fn overlap(self, count: u64) -> bool {
        let alone = self.0 & (Kind::Fixed as u16 | Kind::Refcounts as u16) != 0;
        self.0.count_ones() > 1 || (alone && count > 1)
    }

    /// Whether uses that cannot all be right are left when the refcounts are put elsewhere.
    pub(super) fn overlap_beside_refcounts(self, count: u64) -> bool {
        let refcounts = self.0 & Kind::Refcounts as u16;
        if refcounts == 0 {
            return self.overlap(count);
        }
        // How many of the uses are of which kind is not known; two others of metadata count twice or more.
        Self(self.0 ^ refcounts).overlap(count.saturating_sub(1))
    }

    /// Whether the refcount structures are among them.
    pub(super) fn refcounts(self) -> bool {
        self.0 & Kind::Refcounts as u16 != 0
    }

    /// The uses in words.
    pub(super) fn names(self) -> String {
        let named = [
            (Kind::Fixed, "metadata"),
            (Kind::Refcounts, "refcounts"),
            (Kind::Table, "L2 table"),
            (Kind::Data, "data"),
            (Kind::Compressed, "compressed data"),
        ];
        let names: Vec<_> = named.iter().filter(|(kind, _)| self.0 & *kind as u16 != 0).map(|named| named.1).collect();
        names.join(" and ")
    }
}

/// The counts of a window of host clusters.
#[derive(Debug)]
pub(super) struct Counts {
    /// The clusters that are counted.
    window: Range<u64>,
    /// Bytes that the counts may take.
    budget: usize,
    /// Units of counts.
    slots: Vec<[u16; UNIT]>,
    /// Which slot the unit of this number is in.
    units: BTreeMap<u64, usize>,
    /// The unit that was used last, and its slot.
    last: Option<(u64, usize)>,
    /// Counts that do not fit beside the kinds.
    wide: BTreeMap<u64, u64>,
}

impl Counts {
    /// No uses yet of the clusters from `first` on, with so many bytes for their counts.
    pub(super) fn new(first: u64, budget: u64) -> Self {
        Self {
            window: first..u64::MAX,
            budget: usize::try_from(budget).unwrap_or(usize::MAX).max(MIN_BUDGET),
            slots: Vec::new(),
            units: BTreeMap::new(),
            last: None,
            wide: BTreeMap::new(),
        }
    }

    /// The clusters that are counted.
    pub(super) fn window(&self) -> &Range<u64> {
        &self.window
    }

    /// Counts `times` more uses as `kind` of the clusters in `range`, as far as they are within the window.
    pub(super) fn add(&mut self, range: Range<u64>, times: u64, kind: Kind) {
        let mut cluster = range.start.max(self.window.start);
        // The window may shrink meanwhile.
        while cluster < range.end.min(self.window.end) {
            self.add_one(cluster, times, kind);
            cluster += 1;
        }
    }

    /// Counts uses of one cluster of the window.
    fn add_one(&mut self, cluster: u64, times: u64, kind: Kind) {
        let Some(slot) = self.slot(cluster / UNIT_LEN) else { return };
        let word = &mut self.slots[slot][(cluster % UNIT_LEN) as usize];
        let low = u64::from(*word & COUNT_MASK);
        let now = if low == WIDE { self.wide.get(&cluster).copied().unwrap_or(0) } else { low };
        let next = now.saturating_add(times);
        let kinds = *word & !COUNT_MASK | kind as u16;
        *word = kinds | u16::try_from(next.min(WIDE)).unwrap_or(COUNT_MASK);
        if next >= WIDE {
            self.wide.insert(cluster, next);
        }
        self.keep_budget();
    }

    /// The slot of unit `unit`, made where there is none.
    fn slot(&mut self, unit: u64) -> Option<usize> {
        if let Some((last, slot)) = self.last
            && last == unit
        {
            return Some(slot);
        }
        if !self.units.contains_key(&unit) {
            let slot = if self.used() + size_of::<[u16; UNIT]>() > self.budget && !self.units.is_empty() {
                // The highest unit makes room, unless this one is higher still.
                let highest = *self.units.last_key_value()?.0;
                self.end_before(highest.max(unit))?
            } else {
                self.slots.push([0; UNIT]);
                self.slots.len() - 1
            };
            if unit * UNIT_LEN >= self.window.end {
                return None;
            }
            self.units.insert(unit, slot);
        }
        self.last = self.units.get(&unit).map(|slot| (unit, *slot));
        self.last.map(|(_, slot)| slot)
    }

    /// Ends the window before `unit`; the slot of the unit, which is the highest if it has one, is free then.
    fn end_before(&mut self, unit: u64) -> Option<usize> {
        let end = unit * UNIT_LEN;
        self.window.end = end.max(self.window.start);
        self.wide.split_off(&end);
        self.last = None;
        let slot = self.units.remove(&unit)?;
        self.slots[slot].fill(0);
        Some(slot)
    }

    /// Forgets the highest units until the counts fit.
    fn keep_budget(&mut self) {
        while self.used() > self.budget && self.units.len() > 1 {
            let Some((&highest, _)) = self.units.last_key_value() else { return };
            if self.end_before(highest).is_none() {
                return;
            }
        }
    }

    /// Bytes that are taken.
    fn used(&self) -> usize {
        self.units.len() * (size_of::<[u16; UNIT]>() + MAP_ENTRY_LEN) + self.wide.len() * MAP_ENTRY_LEN
    }

    /// How often `cluster` is used.
    pub(super) fn get(&self, cluster: u64) -> u64 {
        let low = u64::from(self.word(cluster) & COUNT_MASK);
        if low == WIDE { self.wide.get(&cluster).copied().unwrap_or(low) } else { low }
    }

    /// Fills `counts` with those of the clusters of unit `unit`.
    pub(super) fn get_unit(&self, unit: u64, counts: &mut [u64; UNIT]) {
        let Some(&slot) = self.units.get(&unit) else { return counts.fill(0) };
        for ((cluster, word), count) in (unit * UNIT_LEN..).zip(self.slots[slot].iter()).zip(counts) {
            let low = u64::from(word & COUNT_MASK);
            *count = if low == WIDE { self.get(cluster) } else { low };
        }
    }

    /// What `cluster` is used as.
    pub(super) fn kinds(&self, cluster: u64) -> Kinds {
        Kinds(self.word(cluster) & !COUNT_MASK)
    }

    /// The first unit from `unit` on that has a cluster in use.
    pub(super) fn next_unit(&self, unit: u64) -> Option<u64> {
        self.units.range(unit..).next().map(|(unit, _)| *unit)
    }

    /// What is kept of `cluster`.
    fn word(&self, cluster: u64) -> u16 {
        let slot = self.units.get(&(cluster / UNIT_LEN));
        slot.map_or(0, |&slot| self.slots[slot][(cluster % UNIT_LEN) as usize])
    }
}

/// Clusters that are counted as one unit.
pub(super) const UNIT: usize = 512;
/// The same, as a number of clusters.
pub(super) const UNIT_LEN: u64 = UNIT as u64;
/// The bits of a word that count; the others are the kinds.
const COUNT_MASK: u16 = (1 << 11) - 1;
/// The count that means: look into the wide ones.
const WIDE: u64 = COUNT_MASK as u64;
/// What an entry of a map takes, about, in bytes.
const MAP_ENTRY_LEN: usize = 48;
/// The least budget: a few units.
const MIN_BUDGET: usize = 4 * (size_of::<[u16; UNIT]>() + MAP_ENTRY_LEN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_add_up_however_many_there_are() {
        let mut counts = Counts::new(0, u64::MAX);
        counts.add(5..7, 2, Kind::Data);
        counts.add(6..7, 4, Kind::Compressed);
        assert_eq!((counts.get(5), counts.get(6), counts.get(7)), (2, 6, 0));
        assert_eq!(counts.kinds(6).names(), "data and compressed data");
        for _ in 0..3 {
            counts.add(1..2, 2000, Kind::Data);
        }
        counts.add(2..3, u64::MAX, Kind::Table);
        counts.add(2..3, 1, Kind::Table);
        let mut unit = [0; UNIT];
        counts.get_unit(0, &mut unit);
        assert_eq!((counts.get(1), counts.get(2), &unit[..3]), (6000, u64::MAX, &[0, 6000, u64::MAX][..]));
    }

    #[test]
    fn windows_that_memory_makes_count_everything_once() {
        let uses: Vec<u64> = (0..200).map(|index| index * 7919 % 40_000).collect();
        let (mut first, mut seen, mut passes) = (0, BTreeMap::new(), 0);
        while first < u64::MAX {
            let mut counts = Counts::new(first, 0);
            for &cluster in &uses {
                counts.add(cluster..cluster + 3, 1, Kind::Data);
            }
            let mut unit = 0;
            while let Some(found) = counts.next_unit(unit) {
                for cluster in found * UNIT_LEN..(found + 1) * UNIT_LEN {
                    if counts.window().contains(&cluster) && counts.get(cluster) > 0 {
                        assert!(seen.insert(cluster, counts.get(cluster)).is_none(), "{cluster} is in two windows");
                    }
                }
                unit = found + 1;
            }
            assert!(counts.units.len() <= 5);
            (first, passes) = (counts.window().end, passes + 1);
        }
        assert!(passes > 10, "{passes}");
        for cluster in 0..40_010 {
            let expected = uses.iter().filter(|&&first| (first..first + 3).contains(&cluster)).count() as u64;
            assert_eq!(seen.get(&cluster).copied().unwrap_or(0), expected, "{cluster}");
        }
    }

    #[test]
    fn what_cannot_share_a_cluster_overlaps() {
        let kinds = |list: &[Kind]| Kinds(list.iter().fold(0, |all, kind| all | *kind as u16));
        assert!(!kinds(&[Kind::Data]).overlap(2) && !kinds(&[Kind::Table]).overlap(9));
        assert!(kinds(&[Kind::Fixed]).overlap(2) && kinds(&[Kind::Data, Kind::Compressed]).overlap(2));
        assert!(kinds(&[Kind::Data, Kind::Table]).overlap(2) && kinds(&[Kind::Refcounts]).overlap(2));
        assert!(!kinds(&[Kind::Refcounts, Kind::Data]).overlap_beside_refcounts(2));
        assert!(kinds(&[Kind::Refcounts, Kind::Data, Kind::Fixed]).overlap_beside_refcounts(3));
        assert!(!kinds(&[Kind::Refcounts]).overlap_beside_refcounts(2));
    }
}
