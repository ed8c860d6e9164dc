//! The key slots of a LUKS1 header.

use imgfmt_core::fields::{Fields, Place};
use imgfmt_core::{Error, Result};
use serde_json::{Value, json};

use crate::layout::{
    HEADER_LEN, SALT_LEN, SECTOR_LEN, SLOT_ACTIVE, SLOT_INACTIVE, SLOT_ITERATIONS_AT, SLOT_LEN, SLOT_MATERIAL_AT,
    SLOT_SALT_AT, SLOT_STRIPES_AT, SLOTS, SLOTS_AT, STRIPES,
};
use crate::luks::{array, iterations};

/// A key slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Whether it holds the master key.
    pub active: bool,
    /// PBKDF2 iterations of its passphrase.
    pub iterations: u32,
    /// The salt of its passphrase.
    pub salt: [u8; SALT_LEN],
    /// Bytes from the start of the header to its key material.
    pub material_at: u64,
    /// Stripes of its key material.
    pub stripes: u32,
}

impl Slot {
    /// What QEMU shows of it, under its names.
    pub(crate) fn to_json(self) -> Value {
        match self.active {
            true => json!({
                "active": true, "iters": self.iterations, "key-offset": self.material_at, "stripes": self.stripes,
            }),
            false => json!({ "active": false, "key-offset": self.material_at }),
        }
    }

    /// The slot as it is stored.
    pub(crate) fn to_bytes(self) -> [u8; SLOT_LEN] {
        let mut bytes = [0; SLOT_LEN];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let sectors = u32::try_from(self.material_at / SECTOR_LEN as u64).unwrap_or(u32::MAX);
        put(0, &if self.active { SLOT_ACTIVE } else { SLOT_INACTIVE }.to_be_bytes());
        put(SLOT_ITERATIONS_AT, &self.iterations.to_be_bytes());
        put(SLOT_SALT_AT, &self.salt);
        put(SLOT_MATERIAL_AT, &sectors.to_be_bytes());
        put(SLOT_STRIPES_AT, &self.stripes.to_be_bytes());
        bytes
    }
}

/// Parses the key slots of the header.
///
/// # Errors
///
/// As [`LuksHeader::parse`](crate::LuksHeader::parse).
pub(crate) fn parse(fields: &Fields<'_>) -> Result<[Slot; SLOTS]> {
    let mut slots = [Slot::default(); SLOTS];
    for (index, slot) in slots.iter_mut().enumerate() {
        let at = SLOTS_AT + index * SLOT_LEN;
        let active = match fields.u32(at)? {
            SLOT_ACTIVE => true,
            SLOT_INACTIVE => false,
            other => {
                let what = format!("is {other:#010x}, neither that of an active slot nor of an inactive one");
                return Err(Place { name: "active", at: fields.host(at) }.malformed(what));
            }
        };
        *slot = Slot {
            active,
            iterations: match active {
                true => iterations(fields, "iterations", at + SLOT_ITERATIONS_AT)?,
                false => fields.u32(at + SLOT_ITERATIONS_AT)?,
            },
            salt: array(fields, at + SLOT_SALT_AT)?,
            material_at: u64::from(fields.u32(at + SLOT_MATERIAL_AT)?) * SECTOR_LEN as u64,
            stripes: fields.u32(at + SLOT_STRIPES_AT)?,
        };
    }
    Ok(slots)
}

/// Checks that the key material of active slots, `len` bytes each, lies behind the header, within the area,
/// and apart.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) and [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds), with the
/// byte and the field.
pub(crate) fn check(slots: &[Slot], fields: &Fields<'_>, len: u64, area_len: u64) -> Result<()> {
    let mut taken: Vec<u64> = Vec::with_capacity(SLOTS);
    for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| slot.active) {
        let slot_at = SLOTS_AT + index * SLOT_LEN;
        let place = Place { name: "key-material-offset", at: fields.host(slot_at + SLOT_MATERIAL_AT) };
        if slot.stripes != STRIPES {
            let place = Place { name: "stripes", at: fields.host(slot_at + SLOT_STRIPES_AT) };
            return Err(place.malformed(format!("is {}, not {STRIPES}", slot.stripes)));
        }
        if slot.material_at < HEADER_LEN as u64 {
            return Err(place.malformed("lies within the header"));
        }
        if slot.material_at + len > area_len {
            let bytes = slot.material_at..slot.material_at + len;
            let what = format!("says bytes {bytes:?}, but the header and its key material take {area_len}");
            return Err(place.tell(Error::out_of_bounds(what)));
        }
        if taken.iter().any(|&other| slot.material_at < other + len && other < slot.material_at + len) {
            return Err(place.malformed("overlaps the key material of another slot"));
        }
        taken.push(slot.material_at);
    }
    Ok(())
}
