//! Key slots of an image that exists: filled and erased, so that a cut at any write leaves the image a key.
//!
//! A slot is named active in one write of four bytes, with all else of it on the medium; and it is named inactive once its key
//! material is gone. So an active slot is whole or useless, never the removed key.

use imgfmt_core::{Error, Medium, Result, StorageExt};

use crate::key::{seal, unlock, unlock_slot};
use crate::layout::{HEADER_LEN, SLOT_ITERATIONS_AT, SLOT_LEN, SLOTS_AT};
use crate::luks::LuksHeader;
use crate::random::Random;
use crate::slot::Slot;
use crate::slot_change::SlotChange;

/// The key slots of an image that is being changed.
pub struct KeySlots<'a> {
    /// The image.
    medium: &'a dyn Medium,
    /// Host byte of the LUKS header.
    start: u64,
    /// Bytes that it takes with its key material.
    len: u64,
    /// The header.
    header: LuksHeader,
    /// Where salts and keys come from.
    random: Random,
}

/// Gives a passphrase of the image.
type Secret<'a> = &'a dyn Fn() -> Result<&'a [u8]>;

/// What is done, all of it checked.
pub enum SlotPlan {
    /// A slot is filled: its number, what it will be, and its key material.
    Fill(usize, Slot, Vec<u8>),
    /// Slots are erased.
    Erase(Vec<usize>),
}

impl<'a> KeySlots<'a> {
    /// The key slots of the header at host byte `start` of `medium`, which takes `len` bytes with its key material.
    ///
    /// # Errors
    ///
    /// As [`LuksHeader::parse`].
    pub fn open(medium: &'a dyn Medium, start: u64, len: u64, random: Random) -> Result<Self> {
        let mut bytes = vec![0; HEADER_LEN];
        let there = medium.read_padded(&mut bytes, start)?;
        let header = LuksHeader::parse(&bytes[..there], start, len)?;
        Ok(Self { medium, start, len, header, random })
    }

    /// What `change` comes to; `secret` gives a passphrase that opens a slot, where one is needed. Nothing is written.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for what is not to be,
    /// [`Refused`](imgfmt_core::ErrorKind::Refused) without the right secret, and what reading meets.
    pub fn plan(&self, change: &SlotChange<'_>, force: bool, secret: Secret<'_>) -> Result<SlotPlan> {
        let opens = |slot: &Slot, passphrase: &[u8]| {
            unlock_slot(&self.header, slot, passphrase, &|buf, at| self.read(buf, at)).map(|key| key.is_some())
        };
        let chosen = change.choose(&self.header.slots, force, &opens)?;
        let (SlotChange::Activate { passphrase, work, .. }, Some(&index)) = (*change, chosen.first()) else {
            return Ok(SlotPlan::Erase(chosen));
        };
        let others = self.header.slots.iter().enumerate().any(|(at, slot)| slot.active && at != index);
        if self.header.slots[index].active && !others && self.spare().is_none() {
            return Err(Error::invalid("the only key cannot be replaced safely: no other key slot has a place"));
        }
        let master = unlock(&self.header, secret()?, &|buf, at| self.read(buf, at))?;
        let mut header = self.header.clone();
        let (iterations, _) = work.iterations(header.hash, header.spec.key_len());
        let material = seal(&mut header, index, &master, passphrase, iterations, self.random)?;
        header.check_slots(self.start, self.len)?;
        Ok(SlotPlan::Fill(index, header.slots[index], material))
    }

    /// Does what was planned.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub fn apply(&mut self, plan: &SlotPlan) -> Result<()> {
        match plan {
            SlotPlan::Fill(index, slot, material) if self.header.slots[*index].active => {
                self.refill(*index, slot, material)
            }
            SlotPlan::Fill(index, slot, material) => self.fill(*index, slot, material),
            SlotPlan::Erase(slots) => slots.iter().try_for_each(|index| self.erase(*index)),
        }
    }

    /// Fills a slot that is active, by way of a free one: there is a key at any time. Where none is free, others have it.
    fn refill(&mut self, index: usize, slot: &Slot, material: &[u8]) -> Result<()> {
        let Some(spare) = self.spare() else { return self.fill(index, slot, material) };
        // The same key, the same salt: only where it lies is another.
        let place = Slot { material_at: self.header.slots[spare].material_at, ..*slot };
        self.fill(spare, &place, material)?;
        self.fill(index, slot, material)?;
        self.erase(spare)
    }

    /// A slot that is free and has a place.
    fn spare(&self) -> Option<usize> {
        (0..self.header.slots.len()).find(|index| !self.header.slots[*index].active && self.fits(*index))
    }

    /// Whether a slot that is not active could be.
    fn fits(&self, index: usize) -> bool {
        let mut header = self.header.clone();
        let slot = &mut header.slots[index];
        (slot.active, slot.stripes) = (true, crate::layout::STRIPES);
        header.check_slots(self.start, self.len).is_ok()
    }

    /// Fills a slot: first it is named inactive, where it is not, then all of it is written, and then it is named active.
    fn fill(&mut self, index: usize, slot: &Slot, material: &[u8]) -> Result<()> {
        if self.header.slots[index].active {
            self.write_slot(index, &Slot { active: false, ..self.header.slots[index] })?;
        }
        self.medium.write_at(material, self.start + slot.material_at)?;
        self.write_slot(index, &Slot { active: false, ..*slot })?;
        self.write_slot(index, slot)
    }

    /// Erases a slot: first its key material, then what the header says of it.
    fn erase(&mut self, index: usize) -> Result<()> {
        let slot = self.header.slots[index];
        if slot.active || self.fits(index) {
            let mut noise = vec![0; self.header.material_len()];
            (self.random)(&mut noise)?;
            self.medium.write_at(&noise, self.start + slot.material_at)?;
            self.medium.sync()?;
        }
        self.write_slot(index, &Slot { active: false, ..slot })?;
        let empty = Slot { material_at: slot.material_at, stripes: slot.stripes, ..Slot::default() };
        self.write_slot(index, &empty)
    }

    /// Makes a slot `slot` in the header. Only what differs is written: where that is the state alone, it is in one sector.
    fn write_slot(&mut self, index: usize, slot: &Slot) -> Result<()> {
        let (old, new) = (self.header.slots[index].to_bytes(), slot.to_bytes());
        let at = self.start + (SLOTS_AT + index * SLOT_LEN) as u64;
        let (state, rest) = new.split_at(SLOT_ITERATIONS_AT);
        if old[SLOT_ITERATIONS_AT..] != *rest {
            self.medium.write_at(rest, at + SLOT_ITERATIONS_AT as u64)?;
        }
        if old[..SLOT_ITERATIONS_AT] != *state {
            self.medium.write_at(state, at)?;
        }
        self.medium.sync()?;
        self.header.slots[index] = *slot;
        Ok(())
    }

    /// Reads bytes by their place behind the start of the header.
    fn read(&self, buf: &mut [u8], at: u64) -> Result<()> {
        self.medium.read_at(buf, self.start + at)
    }
}
