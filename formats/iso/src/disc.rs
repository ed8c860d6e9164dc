//! The bytes that a disc gives to its reader, whether the file has those alone or whole sectors as they were burnt.
//!
//! A sector as it is burnt has 2352 bytes (ECMA-130, 14): 12 of synchronisation, 3 of address, the mode, and then in mode 1 the 2048
//! of the user, in mode 2 form 1 a subheader of 8 before them; correction codes fill the rest. Dumps may add 96 bytes of subchannels.

use std::sync::Arc;

use imgfmt_core::{Error, Result, Storage, StorageExt};

use crate::layout::{
    DESCRIPTOR_LEN, FIRST_DESCRIPTOR, HIGH_SIERRA, HIGH_SIERRA_SHIFT, IDENTIFIER_AT, ISO_9660, SECTOR_LEN,
};

/// How sectors lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Only what belongs to the user.
    Plain,
    /// Whole sectors, of this many bytes with what the dump adds.
    Whole(u64),
}

impl Framing {
    /// How sectors lie in `storage`, as far as its first ones tell.
    pub(crate) fn detect(storage: &dyn Storage) -> Result<Self> {
        let mut start = [0; SYNC.len()];
        if storage.read_padded(&mut start, 0)? < SYNC.len() || start != SYNC {
            return Ok(Self::Plain);
        }
        for len in WHOLE_LENS {
            let mut sector = [0; 64];
            storage.read_padded(&mut sector, FIRST_DESCRIPTOR * len)?;
            let Some(user_at) = user_at(&sector) else { continue };
            let at = user_at + IDENTIFIER_AT;
            let sierra = at + HIGH_SIERRA_SHIFT;
            if &sector[at..at + 5] == ISO_9660 || &sector[sierra..sierra + 5] == HIGH_SIERRA {
                return Ok(Self::Whole(len));
            }
        }
        Ok(Self::Plain)
    }
}

/// The bytes of the user on a disc.
#[derive(Clone, Debug)]
pub(crate) struct Disc {
    /// The file.
    pub(crate) storage: Arc<dyn Storage>,
    /// How sectors lie in it.
    pub(crate) framing: Framing,
}

impl Disc {
    /// The disc in `storage`, which may end within a sector only where it is plain.
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Result<Self> {
        let framing = Framing::detect(storage.as_ref())?;
        if let Framing::Whole(len) = framing
            && !storage.len().is_multiple_of(len)
        {
            let what = format!("the file ends within a sector: {} bytes are no multiple of {len}", storage.len());
            return Err(Error::out_of_bounds(what).at(storage.len()));
        }
        Ok(Self { storage, framing })
    }

    /// Bytes of the user.
    pub(crate) fn len(&self) -> u64 {
        match self.framing {
            Framing::Plain => self.storage.len(),
            Framing::Whole(len) => self.storage.len() / len * SECTOR_LEN,
        }
    }

    /// The host byte at which `offset` is, or would be.
    pub(crate) fn host_of(&self, offset: u64) -> u64 {
        match self.framing {
            Framing::Plain => offset,
            Framing::Whole(len) => (offset / SECTOR_LEN).saturating_mul(len),
        }
    }

    /// Fills `buf` from `offset` on.
    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let Framing::Whole(sector_len) = self.framing else { return self.storage.read_at(buf, offset) };
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len()) {
            let what = format!("{} bytes are wanted here, but the disc ends after {}", buf.len(), self.len());
            return Err(Error::out_of_bounds(what).at(self.host_of(offset)));
        }
        let (mut rest, mut next) = (buf, offset);
        let mut sector = [0; WHOLE_LEN];
        while !rest.is_empty() {
            let at = next / SECTOR_LEN * sector_len;
            self.storage.read_at(&mut sector, at)?;
            let user = user_at(&sector).ok_or_else(|| no_data(&sector).at(at))?;
            let skip = in_sector(next % SECTOR_LEN);
            let len = (DESCRIPTOR_LEN - skip).min(rest.len());
            let (front, behind) = rest.split_at_mut(len);
            front.copy_from_slice(&sector[user + skip..user + skip + len]);
            next += len as u64;
            rest = behind;
        }
        Ok(())
    }

    /// Reads `N` bytes from `offset` on.
    pub(crate) fn read_array<const N: usize>(&self, offset: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Reads sector `number`.
    pub(crate) fn sector(&self, number: u64) -> Result<[u8; DESCRIPTOR_LEN]> {
        self.read_array(number.saturating_mul(SECTOR_LEN))
    }
}

/// Where in a whole sector the bytes of the user are, if it has 2048 of them.
fn user_at(sector: &[u8]) -> Option<usize> {
    match sector.get(MODE_AT)? {
        _ if !sector.starts_with(&SYNC) => None,
        1 => Some(16),
        2 if sector.get(SUBMODE_AT)? & FORM_2 == 0 => Some(24),
        _ => None,
    }
}

/// What is said of a sector that has no 2048 bytes of data.
fn no_data(sector: &[u8]) -> Error {
    let what = match sector[MODE_AT] {
        _ if !sector.starts_with(&SYNC) => "a sector without synchronisation: audio, or none of a disc".to_owned(),
        2 => "a sector of mode 2 form 2, which has 2324 bytes of data".to_owned(),
        mode => format!("a sector of mode {mode}, which has no data"),
    };
    Error::unsupported(what)
}

/// A position in a sector.
#[expect(clippy::cast_possible_truncation, reason = "it is less than the 2048 bytes of a sector")]
fn in_sector(offset: u64) -> usize {
    offset as usize
}

/// What whole sectors start with. ECMA-130, 14.1.
const SYNC: [u8; 12] = [0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0];
/// Position of the mode. ECMA-130, 14.2.
const MODE_AT: usize = 15;
/// Position of the submode in the subheader of mode 2. CD-ROM XA.
const SUBMODE_AT: usize = 18;
/// The bit of the submode that says form 2.
const FORM_2: u8 = 0x20;
/// Bytes of a whole sector.
const WHOLE_LEN: usize = 2352;
/// Bytes of whole sectors in dumps: without subchannels, and with them.
const WHOLE_LENS: [u64; 2] = [WHOLE_LEN as u64, WHOLE_LEN as u64 + 96];
