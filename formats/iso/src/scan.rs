//! The descriptors at the start of a disc, one in each sector from the 16th on.

use imgfmt_core::{Error, ErrorKind, Result, Storage, StorageExt};

use crate::disc::{Disc, Framing};
use crate::layout::{
    BEGIN_EXTENDED, BOOT2, END_EXTENDED, FIRST_DESCRIPTOR, IDENTIFIER_AT, MAX_DESCRIPTORS, NSR02, NSR03, SECTOR_LEN,
};
use crate::volume::{Descriptor, Volume, identifier};

/// What the descriptors say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The primary descriptor and the sector that it is in.
    pub(crate) primary: Option<(Volume, u64)>,
    /// The level of Joliet, and the name of the volume in it.
    pub(crate) joliet: Option<(usize, String)>,
    /// Whether there is a descriptor of ISO 9660:1999.
    pub(crate) enhanced: bool,
    /// The sector of the boot catalog.
    pub(crate) catalog_at: Option<u32>,
    /// Whether the descriptors end as they should.
    pub(crate) terminated: bool,
    /// The edition of ECMA-167 whose file system is announced: 2 or 3.
    pub(crate) nsr: Option<u8>,
}

/// Says why `storage` is the image of a disc, or nothing.
pub(crate) fn recognise(storage: &dyn Storage) -> Result<Option<&'static str>> {
    if Framing::detect(storage)? != Framing::Plain {
        return Ok(Some("whole sectors of a disc with a volume descriptor"));
    }
    let mut start = [0; 16];
    storage.read_padded(&mut start, FIRST_DESCRIPTOR * SECTOR_LEN)?;
    Ok(match identifier(&start) {
        Some(0) => Some("the volume descriptor CD001 of ISO 9660"),
        Some(_) => Some("the volume descriptor CDROM of High Sierra"),
        None if mark(&start) == Some(Mark::Begin) && announces_nsr(storage)? => {
            Some("the volume recognition sequence of UDF")
        }
        None => None,
    })
}

/// Whether one of the descriptors behind the first announces a file system of ECMA-167.
fn announces_nsr(storage: &dyn Storage) -> Result<bool> {
    for index in 1..MAX_MARKS {
        let mut start = [0; 16];
        storage.read_padded(&mut start, (FIRST_DESCRIPTOR + index) * SECTOR_LEN)?;
        if matches!(mark(&start), Some(Mark::Nsr(_))) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Scan {
    /// Reads the descriptors of `disc`.
    pub(crate) fn read(disc: &Disc) -> Result<Self> {
        let mut scan = Self::default();
        let mut extended = false;
        for number in FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + MAX_DESCRIPTORS {
            let sector = match disc.sector(number) {
                // What ends the descriptors of UDF need not be there, so that the file may end here.
                Err(error) if error.kind() == ErrorKind::OutOfBounds && scan.terminated => break,
                sector => sector?,
            };
            if let Some(descriptor) = Descriptor::parse(&sector).map_err(|e| within(e, disc, number))? {
                scan.take(descriptor, number);
            } else if !scan.take_mark(&sector, &mut extended) {
                break;
            }
        }
        if scan.primary.is_some() || scan.nsr.is_some() {
            return Ok(scan);
        }
        let at = disc.host_of(FIRST_DESCRIPTOR * SECTOR_LEN);
        Err(Error::malformed("no sector from here on has a primary volume descriptor").at(at))
    }

    /// Takes note of a structure of the volume recognition sequence; returns whether more may follow.
    fn take_mark(&mut self, sector: &[u8], extended: &mut bool) -> bool {
        match mark(sector) {
            Some(Mark::Begin) => *extended = true,
            Some(Mark::Nsr(edition)) => self.nsr = Some(edition),
            Some(Mark::Boot) => {}
            Some(Mark::End) => return false,
            // Where sectors have 4096 bytes, every other one of 2048 is empty.
            None => return *extended && sector.iter().all(|&byte| byte == 0),
        }
        true
    }

    /// Takes note of a descriptor in sector `number`. What follows the terminator counts no more.
    fn take(&mut self, descriptor: Descriptor, number: u64) {
        if self.terminated {
            return;
        }
        match descriptor {
            Descriptor::Primary(volume) => {
                self.primary.get_or_insert((*volume, number));
            }
            Descriptor::Joliet(level, name) => {
                self.joliet.get_or_insert((level, name));
            }
            Descriptor::ElTorito(sector) => {
                self.catalog_at.get_or_insert(sector);
            }
            Descriptor::Enhanced => self.enhanced = true,
            Descriptor::Terminator => self.terminated = true,
            Descriptor::Other => {}
        }
    }
}

/// A structure of the volume recognition sequence. ECMA-167, 2/9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The sequence starts.
    Begin,
    /// A file system, of this edition of the standard.
    Nsr(u8),
    /// Boot code.
    Boot,
    /// The sequence ends.
    End,
}

/// The structure that starts with `bytes`.
fn mark(bytes: &[u8]) -> Option<Mark> {
    match bytes.get(IDENTIFIER_AT..)?.first_chunk()? {
        BEGIN_EXTENDED => Some(Mark::Begin),
        NSR02 => Some(Mark::Nsr(2)),
        NSR03 => Some(Mark::Nsr(3)),
        BOOT2 => Some(Mark::Boot),
        END_EXTENDED => Some(Mark::End),
        _ => None,
    }
}

/// An error about a byte of a sector, about that byte of the file.
fn within(error: Error, disc: &Disc, number: u64) -> Error {
    let at = disc.host_of(number * SECTOR_LEN).saturating_add(error.offset().unwrap_or(0));
    error.at(at)
}

/// Structures of the volume recognition sequence that are looked at for a file system.
const MAX_MARKS: u64 = 16;
