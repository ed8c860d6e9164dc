//! What is to become of key slots: from options to the slots that are meant.

use imgfmt_core::{Error, Options, Result, Secrets};

use crate::layout::SLOTS;
use crate::named::Named;
use crate::settings::{ITER_TIME, ITERATIONS, Work};
use crate::slot::Slot;

/// What is to become of key slots.
#[derive(Clone, Copy)]
pub enum SlotChange<'a> {
    /// One gets a passphrase.
    Activate {
        /// The passphrase.
        passphrase: &'a [u8],
        /// The slot, or the first that is free.
        slot: Option<usize>,
        /// How much work the passphrase is to try.
        work: Work,
    },
    /// Some are erased.
    Erase {
        /// Those that this passphrase opens.
        passphrase: Option<&'a [u8]>,
        /// This one alone.
        slot: Option<usize>,
    },
}

impl<'a> SlotChange<'a> {
    /// What `options` say, if they say anything of it: `state`, `new-secret`, `old-secret`, `keyslot`, `iter-time` and
    /// `iterations`, with `prefix` before their names.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for values and combinations that there are not.
    pub fn parse(options: &Options, prefix: &str, secrets: &'a Secrets) -> Result<Option<Self>> {
        let named = Named { options, prefix };
        if ![STATE].iter().chain(&OF_ACTIVATING).chain(&OF_ERASING).chain(&[KEYSLOT]).any(|name| named.has(name)) {
            return Ok(None);
        }
        if !named.has(STATE) {
            return Err(Error::invalid(format!("{} has to say what becomes of the key slots", named.name(STATE))));
        }
        let active = named.word(STATE, &[("active", true), ("inactive", false)], false)?;
        let secret = |name: &str| named.get(name).map(|id| secrets.get(id)).transpose();
        let (new, old, slot) = (secret(NEW_SECRET)?, secret(OLD_SECRET)?, keyslot(named)?);
        let (of_other, other) = if active { ("inactive", &OF_ERASING[..]) } else { ("active", &OF_ACTIVATING[..]) };
        if let Some(name) = other.iter().find(|name| named.has(name)) {
            return Err(Error::invalid(format!("{} is for {}={of_other}", named.name(name), named.name(STATE))));
        }
        if !active {
            if old.is_none() && slot.is_none() {
                let (slot, secret) = (named.name(KEYSLOT), named.name(OLD_SECRET));
                return Err(Error::invalid(format!("to erase key slots, say which, with {slot} or {secret}")));
            }
            return Ok(Some(Self::Erase { passphrase: old, slot }));
        }
        let needs = || Error::invalid(format!("a key slot needs a passphrase; say {}=ID", named.name(NEW_SECRET)));
        Ok(Some(Self::Activate { passphrase: new.ok_or_else(needs)?, slot, work: Work::parse(named)? }))
    }

    /// The slots that are meant; `opens` says whether a passphrase opens one. `force` allows what cannot be undone.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where there are none, and where a key would be lost that is not to be; as
    /// `opens`.
    pub(crate) fn choose(
        &self,
        slots: &[Slot; SLOTS],
        force: bool,
        opens: &dyn Fn(&Slot, &[u8]) -> Result<bool>,
    ) -> Result<Vec<usize>> {
        match *self {
            Self::Activate { slot: None, .. } => {
                let free = slots.iter().position(|slot| !slot.active);
                free.map(|slot| vec![slot]).ok_or_else(|| Error::invalid("all key slots are in use"))
            }
            Self::Activate { slot: Some(slot), .. } if slots[slot].active && !force => {
                Err(Error::invalid(format!("key slot {slot} is in use; erase it first, or force it to be overwritten")))
            }
            Self::Activate { slot: Some(slot), .. } => Ok(vec![slot]),
            Self::Erase { passphrase, slot } => {
                let erased = match slot {
                    Some(slot) => checked_slot(slot, slots, passphrase, force, opens)?,
                    None => opened_slots(slots, passphrase.unwrap_or_default(), opens)?,
                };
                let left = slots.iter().enumerate().filter(|(at, slot)| slot.active && !erased.contains(at)).count();
                if left == 0 && !force {
                    return Err(Error::invalid("no key would be left, and all data be lost; that has to be forced"));
                }
                Ok(erased)
            }
        }
    }
}

/// One slot that is to be erased.
fn checked_slot(
    index: usize,
    slots: &[Slot; SLOTS],
    passphrase: Option<&[u8]>,
    force: bool,
    opens: &dyn Fn(&Slot, &[u8]) -> Result<bool>,
) -> Result<Vec<usize>> {
    let slot = &slots[index];
    if let Some(passphrase) = passphrase
        && !(slot.active && opens(slot, passphrase)?)
    {
        return Err(Error::invalid(format!("key slot {index} is not opened by the old secret")));
    }
    if !slot.active && !force {
        return Err(Error::invalid(format!("key slot {index} is not in use")));
    }
    Ok(vec![index])
}

/// All slots that `passphrase` opens.
fn opened_slots(
    slots: &[Slot; SLOTS],
    passphrase: &[u8],
    opens: &dyn Fn(&Slot, &[u8]) -> Result<bool>,
) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| slot.active) {
        if opens(slot, passphrase)? {
            found.push(index);
        }
    }
    if found.is_empty() { Err(Error::invalid("the old secret opens no key slot")) } else { Ok(found) }
}

/// The option `keyslot`.
fn keyslot(named: Named<'_>) -> Result<Option<usize>> {
    let Some(given) = named.number(KEYSLOT)? else { return Ok(None) };
    let slot = usize::try_from(given).ok().filter(|slot| *slot < SLOTS);
    slot.map(Some)
        .ok_or_else(|| Error::invalid(format!("{} is {given}, outside 0 to {}", named.name(KEYSLOT), SLOTS - 1)))
}

/// The option that says what becomes of key slots.
const STATE: &str = "state";
/// The option with the passphrase of a slot that becomes active.
const NEW_SECRET: &str = "new-secret";
/// The option with the passphrase of slots that become inactive.
const OLD_SECRET: &str = "old-secret";
/// The option with the number of a slot.
const KEYSLOT: &str = "keyslot";
/// What only slots that become active need.
const OF_ACTIVATING: [&str; 3] = [NEW_SECRET, ITER_TIME, ITERATIONS];
/// What only slots that become inactive need.
const OF_ERASING: [&str; 1] = [OLD_SECRET];
