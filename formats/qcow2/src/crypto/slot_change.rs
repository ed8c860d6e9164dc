//! What is to become of key slots: from options to the slots that are meant.

use imgfmt_core::{Error, Options, Result, Secrets};

use super::layout::SLOTS;
use super::options::{ITER_TIME, ITERATIONS, KEYSLOT, NEW_SECRET, OLD_SECRET, STATE};
use super::settings::{Work, work};
use super::slot::Slot;

/// What is to become of key slots.
#[derive(Clone, Copy)]
pub(crate) enum SlotChange<'a> {
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
    /// What `options` say, if they say anything of it.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for values and combinations that there are not.
    pub(crate) fn parse(options: &Options, secrets: &'a Secrets) -> Result<Option<Self>> {
        if !options.names().any(|name| name.starts_with("encrypt.")) {
            return Ok(None);
        }
        if options.get(STATE.name).is_none() {
            return Err(Error::invalid(format!("{} has to say what becomes of the key slots", STATE.name)));
        }
        let active = options.word(STATE.name, &[("active", true), ("inactive", false)], false)?;
        let secret = |name: &str| options.get(name).map(|id| secrets.get(id)).transpose();
        let (new, old, slot) = (secret(NEW_SECRET.name)?, secret(OLD_SECRET.name)?, keyslot(options)?);
        let (of_other, other) = if active { ("inactive", &OF_ERASING[..]) } else { ("active", &OF_ACTIVATING[..]) };
        if let Some(name) = other.iter().find(|name| options.get(name).is_some()) {
            return Err(Error::invalid(format!("{name} is for {}={of_other}", STATE.name)));
        }
        if !active {
            if old.is_none() && slot.is_none() {
                let what = format!("to erase key slots, say which, with {} or {}", KEYSLOT.name, OLD_SECRET.name);
                return Err(Error::invalid(what));
            }
            return Ok(Some(Self::Erase { passphrase: old, slot }));
        }
        let needs = || Error::invalid(format!("a key slot needs a passphrase; say {}=ID", NEW_SECRET.name));
        Ok(Some(Self::Activate { passphrase: new.ok_or_else(needs)?, slot, work: work(options)? }))
    }

    /// The slots that are meant; `opens` says whether a passphrase opens one. `force` allows what cannot be undone.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where there are none, and where a key would be lost that is not to be; as
    /// `opens`.
    pub(super) fn choose(
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

/// The option `encrypt.keyslot`.
fn keyslot(options: &Options) -> Result<Option<usize>> {
    let Some(given) = options.number(KEYSLOT.name)? else { return Ok(None) };
    let slot = usize::try_from(given).ok().filter(|slot| *slot < SLOTS);
    slot.map(Some).ok_or_else(|| Error::invalid(format!("{} is {given}, outside 0 to {}", KEYSLOT.name, SLOTS - 1)))
}

/// What only slots that become active need.
const OF_ACTIVATING: [&str; 3] = [NEW_SECRET.name, ITER_TIME.name, ITERATIONS.name];
/// What only slots that become inactive need.
const OF_ERASING: [&str; 1] = [OLD_SECRET.name];
