//! How often each host cluster is used, and as what: counted for as many clusters as memory allows.
//!
//! Counts are kept for the units that are used at all. Where they take too much memory, the highest are forgotten and
//! the window of clusters that is counted ends before them; the next window begins there, in another pass.
//!
//! What COPIED flags say is noted beside the counts, so that tables are read again only where a flag is wrong.

use std::collections::BTreeMap;
use std::ops::Range;

use super::kinds::{Kind, Kinds};

/// What is known of the clusters of a unit.
#[derive(Clone, Debug)]
struct Slot {
    /// Which unit it is.
    unit: u64,
    /// How often each is used, and as what.
    words: [u16; UNIT],
    /// Those that an entry of the active state names with the COPIED flag.
    copied: Bits,
    /// Those that an entry of the active state names without it.
    bare: Bits,
    /// Those with a flag that is wrong.
    wrong: Bits,
}

/// A bit for each cluster of a unit.
pub(super) type Bits = [u64; UNIT / 64];

impl Slot {
    /// No uses of unit `unit`.
    fn new(unit: u64) -> Self {
        Self { unit, words: [0; UNIT], copied: [0; UNIT / 64], bare: [0; UNIT / 64], wrong: [0; UNIT / 64] }
    }
}

/// The counts of a unit.
#[derive(Clone, Copy)]
pub(super) struct Unit<'a> {
    /// All counts.
    counts: &'a Counts,
    /// Its first cluster.
    first: u64,
    /// What is known, if anything.
    slot: Option<&'a Slot>,
}

impl Unit<'_> {
    /// How often its cluster `index` is used, and as what.
    pub(super) fn uses(&self, index: usize) -> (u64, Kinds) {
        let word = self.slot.map_or(0, |slot| slot.words[index]);
        let low = u64::from(word & COUNT_MASK);
        (if low == WIDE { self.counts.wide_count(self.first + index as u64) } else { low }, Kinds(word & !COUNT_MASK))
    }

    /// Which of its clusters from `64 * index` on entries of the active state name with the COPIED flag, and which without.
    pub(super) fn flags(&self, index: usize) -> (u64, u64) {
        self.slot.map_or((0, 0), |slot| (slot.copied[index], slot.bare[index]))
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
    slots: Vec<Slot>,
    /// Which slot the unit of this number is in.
    units: BTreeMap<u64, usize>,
    /// The slots of units that were used last, each where the last digits of the unit's number say, and one more than it is.
    near: Vec<u32>,
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
            near: vec![0; NEAR],
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

    /// Counts `times` more uses as `kind` of one cluster, if it is within the window.
    pub(super) fn add_one(&mut self, cluster: u64, times: u64, kind: Kind) {
        let Some(slot) = self.slot(cluster) else { return };
        let word = &mut self.slots[slot].words[(cluster % UNIT_LEN) as usize];
        let (low, kinds) = (u64::from(*word & COUNT_MASK), *word & !COUNT_MASK | kind as u16);
        if low < WIDE && times < WIDE - low {
            *word = kinds | (low + times) as u16;
            return;
        }
        *word = kinds | COUNT_MASK;
        let now = if low == WIDE { self.wide_count(cluster) } else { low };
        self.wide.insert(cluster, now.saturating_add(times));
        self.keep_budget();
    }

    /// Takes note that an entry of the active state names `cluster`, and whether with the COPIED flag.
    pub(super) fn note_flag(&mut self, cluster: u64, copied: bool) {
        let Some(slot) = self.slot(cluster) else { return };
        let slot = &mut self.slots[slot];
        let bits = if copied { &mut slot.copied } else { &mut slot.bare };
        set(bits, cluster);
    }

    /// The slot of `cluster`, made where there is none; `None` outside of the window.
    fn slot(&mut self, cluster: u64) -> Option<usize> {
        let unit = cluster / UNIT_LEN;
        match self.near_slot(unit) {
            None if self.window.contains(&cluster) => self.far_slot(unit),
            near => near,
        }
    }

    /// The slot of unit `unit`, where it was used lately.
    fn near_slot(&self, unit: u64) -> Option<usize> {
        let slot = (self.near[(unit % NEAR as u64) as usize] as usize).checked_sub(1)?;
        (self.slots[slot].unit == unit).then_some(slot)
    }

    /// The slot of a unit that is not near.
    fn far_slot(&mut self, unit: u64) -> Option<usize> {
        if !self.units.contains_key(&unit) {
            let slot = if self.used() + size_of::<Slot>() > self.budget && !self.units.is_empty() {
                // The highest unit makes room, unless this one is higher still.
                let highest = *self.units.last_key_value()?.0;
                self.end_before(highest.max(unit))?
            } else {
                self.slots.push(Slot::new(unit));
                self.slots.len() - 1
            };
            if unit * UNIT_LEN >= self.window.end {
                return None;
            }
            self.slots[slot].unit = unit;
            self.units.insert(unit, slot);
        }
        let slot = *self.units.get(&unit)?;
        self.near[(unit % NEAR as u64) as usize] = u32::try_from(slot + 1).unwrap_or(0);
        Some(slot)
    }

    /// Ends the window before `unit`; the slot of the unit, which is the highest if it has one, is free then.
    fn end_before(&mut self, unit: u64) -> Option<usize> {
        let end = unit * UNIT_LEN;
        self.window.end = end.max(self.window.start);
        self.wide.split_off(&end);
        let slot = self.units.remove(&unit)?;
        self.slots[slot] = Slot::new(NO_UNIT);
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
        self.units.len() * (size_of::<Slot>() + MAP_ENTRY_LEN) + self.wide.len() * MAP_ENTRY_LEN
    }

    /// How often `cluster` is used.
    pub(super) fn get(&self, cluster: u64) -> u64 {
        self.unit(cluster / UNIT_LEN).uses((cluster % UNIT_LEN) as usize).0
    }

    /// The count of a cluster that does not fit beside its kinds.
    fn wide_count(&self, cluster: u64) -> u64 {
        self.wide.get(&cluster).copied().unwrap_or(WIDE)
    }

    /// The counts of unit `unit`.
    pub(super) fn unit(&self, unit: u64) -> Unit<'_> {
        Unit { counts: self, first: unit * UNIT_LEN, slot: self.known(unit) }
    }

    /// What is known of unit `unit`.
    fn known(&self, unit: u64) -> Option<&Slot> {
        let slot = self.near_slot(unit).or_else(|| self.units.get(&unit).copied())?;
        self.slots.get(slot)
    }

    /// Fills `counts` with those of the clusters of unit `unit`.
    pub(super) fn get_unit(&self, unit: u64, counts: &mut [u64; UNIT]) {
        let unit = self.unit(unit);
        for (index, count) in counts.iter_mut().enumerate() {
            *count = unit.uses(index).0;
        }
    }

    /// Takes note which clusters of unit `unit` have flags that are wrong.
    pub(super) fn keep_wrong(&mut self, unit: u64, wrong: Bits) {
        if let Some(slot) = self.units.get(&unit) {
            self.slots[*slot].wrong = wrong;
        }
    }

    /// Whether a flag that was noted of `cluster` is wrong.
    pub(super) fn is_wrong(&self, cluster: u64) -> bool {
        self.known(cluster / UNIT_LEN).is_some_and(|slot| is_set(&slot.wrong, cluster))
    }

    /// The first unit from `unit` on that has a cluster in use.
    pub(super) fn next_unit(&self, unit: u64) -> Option<u64> {
        self.units.range(unit..).next().map(|(unit, _)| *unit)
    }
}

/// Sets the bit of `cluster` in those of its unit.
fn set(bits: &mut Bits, cluster: u64) {
    bits[(cluster % UNIT_LEN / 64) as usize] |= 1 << (cluster % 64);
}

/// Whether the bit of `cluster` is set in those of its unit.
fn is_set(bits: &Bits, cluster: u64) -> bool {
    bits[(cluster % UNIT_LEN / 64) as usize] >> (cluster % 64) & 1 != 0
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
/// The unit of a slot that is free: no cluster has so high a number.
const NO_UNIT: u64 = u64::MAX;
/// Units that are found at once: with 8 million clusters they all are.
const NEAR: usize = 16 << 10;
/// The least budget: a few units.
const MIN_BUDGET: usize = 4 * (size_of::<Slot>() + MAP_ENTRY_LEN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_add_up_however_many_there_are() {
        let mut counts = Counts::new(0, u64::MAX);
        counts.add(5..7, 2, Kind::Data);
        counts.add(6..7, 4, Kind::Compressed);
        assert_eq!((counts.get(5), counts.get(6), counts.get(7)), (2, 6, 0));
        assert_eq!(counts.unit(0).uses(6).1.names(), "data and compressed data");
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
    fn flags_of_the_active_state_are_known_where_uses_are_counted() {
        let mut counts = Counts::new(0, 0);
        counts.add(3..4, 1, Kind::Data);
        counts.note_flag(3, true);
        counts.note_flag(70, false);
        assert_eq!((counts.unit(0).flags(0), counts.unit(0).flags(1)), ((1 << 3, 0), (0, 1 << 6)));
        assert_eq!(counts.unit(9).flags(0), (0, 0));
        counts.keep_wrong(0, [0, 1 << 6, 0, 0, 0, 0, 0, 0]);
        assert!(counts.is_wrong(70) && !counts.is_wrong(3) && !counts.is_wrong(70 + UNIT_LEN));
    }
}
