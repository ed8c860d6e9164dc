//! Which footer counts: the one at the end of the file, or the copy in front.

use imgfmt_core::storage::is_device;
use imgfmt_core::{Error, Result, Storage};

use crate::footer::{DiskType, Footer};
use crate::layout::{FOOTER_CHECKSUM_AT, FOOTER_COOKIE, FOOTER_LEN, OLD_FOOTER_LEN};

/// The footer that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chosen {
    /// What it says.
    pub(crate) footer: Footer,
    /// Where it is.
    pub(crate) at: u64,
    /// Where data ends: at the footer at the end of the file, or there.
    pub(crate) data_end: u64,
    /// What was wrong with the other one, or with this one.
    pub(crate) note: Option<&'static str>,
}

impl Chosen {
    /// Whether nothing tells where the data end: the copy of the footer in front counts, and the file does not end with a footer.
    pub(crate) fn is_open_ended(&self, storage: &dyn Storage) -> bool {
        self.footer.disk_type != DiskType::Fixed && self.at == 0 && self.data_end == storage.len()
    }
}

/// Which footer the caller wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Whichever is whole.
    #[default]
    Any,
    /// The copy in front.
    Start,
    /// The one at the end.
    End,
}

/// What starts with the cookie, and where it is.
#[derive(Clone, Copy, Debug)]
struct Copy {
    /// The bytes; the last one is 0 where 511 were written.
    bytes: [u8; FOOTER_LEN],
    /// Where they are.
    at: u64,
}

impl Copy {
    /// Reads `len` bytes at `at`, if they start with the cookie.
    fn read(storage: &dyn Storage, at: u64, len: usize) -> Result<Option<Self>> {
        let mut bytes = [0; FOOTER_LEN];
        storage.read_at(&mut bytes[..len], at)?;
        Ok(bytes.starts_with(&FOOTER_COOKIE).then_some(Self { bytes, at }))
    }

    /// Checks the rules, and the checksum.
    fn parse(&self) -> Result<Footer> {
        let footer = self.parse_unsummed()?;
        if footer.checksum_ok {
            return Ok(footer);
        }
        Err(Error::malformed("of the footer is not the complement of the sum of its bytes")
            .field("Checksum")
            .at(self.at + FOOTER_CHECKSUM_AT as u64))
    }

    /// Checks the rules, but for the checksum.
    fn parse_unsummed(&self) -> Result<Footer> {
        Footer::parse(&self.bytes).map_err(|e| {
            let field_at = e.offset().unwrap_or(0);
            e.at(self.at + field_at)
        })
    }
}

/// Whether `storage` ends with a footer: how fixed disks are known.
pub(crate) fn ends_with_footer(storage: &dyn Storage) -> Result<bool> {
    Ok(read_end(storage)?.is_some())
}

/// Finds the footer that counts.
///
/// Where both have the right checksum, they have to agree: a file that two readers take for two disks is not one.
/// A footer with a wrong checksum is taken where nothing better is there and something else speaks for it.
pub(crate) fn choose(storage: &dyn Storage, wanted: Wanted, ignore_checksums: bool) -> Result<Chosen> {
    let end = read_end(storage)?;
    let start = match &end {
        Some(end) if end.at == 0 => None,
        _ => read_start(storage)?,
    };
    let data_end = end.as_ref().map_or(storage.len(), |end| end.at);
    let (start, end) = match wanted {
        Wanted::Any => (start, end),
        Wanted::Start => (start, None),
        Wanted::End => (None, end),
    };
    let chosen = |copy: &Copy, footer, note| Chosen { footer, at: copy.at, data_end, note };
    let (first, second) = match (&end, &start) {
        (None, None) => {
            return Err(Error::malformed("there is no footer, neither at the end of the file nor in front"));
        }
        (Some(end), None) => return alone(end, &chosen, ignore_checksums, storage, END_ALONE),
        (None, Some(start)) => {
            let found = alone(start, &chosen, ignore_checksums, storage, START_ALONE)?;
            // A device does not end where its disk does.
            let is_alright = found.note == Some(START_ALONE) && is_device(storage)?;
            return Ok(Chosen { note: found.note.filter(|_| !is_alright), ..found });
        }
        (Some(end), Some(start)) => (end, start),
    };
    match (first.parse(), second.parse()) {
        (Ok(end), Ok(start)) if end.agrees_with(&start) => Ok(chosen(first, end, None)),
        (Ok(_), Ok(_)) => {
            let what = "the footer and its copy in front are both whole and differ: this could be two disks; \
                        the option footer=start or footer=end chooses one";
            Err(Error::malformed(what).at(first.at))
        }
        (Ok(end), Err(_)) => Ok(chosen(first, end, (end.disk_type != DiskType::Fixed).then_some(START_DAMAGED))),
        // The front of a fixed disk is the guest's.
        (Err(e), Ok(start)) if start.disk_type == DiskType::Fixed => Err(e),
        (Err(_), Ok(start)) => Ok(chosen(second, start, Some(END_DAMAGED))),
        (Err(_), Err(_)) if first.bytes == second.bytes || ignore_checksums => {
            Ok(chosen(first, first.parse_unsummed()?, Some(WRONG_CHECKSUM)))
        }
        (Err(_), Err(_)) => alone(first, &chosen, ignore_checksums, storage, END_ALONE),
    }
}

/// The only footer that there is.
fn alone(
    copy: &Copy,
    chosen: &dyn Fn(&Copy, Footer, Option<&'static str>) -> Chosen,
    ignore_checksums: bool,
    storage: &dyn Storage,
    note: &'static str,
) -> Result<Chosen> {
    let footer = copy.parse_unsummed()?;
    let is_fixed = footer.disk_type == DiskType::Fixed;
    if is_fixed && note == START_ALONE {
        let what = format!(
            "this is the footer of a fixed disk, which has to be at the end: the file ends at byte {}",
            storage.len()
        );
        return Err(Error::out_of_bounds(what).at(copy.at));
    }
    if footer.checksum_ok {
        return Ok(chosen(copy, footer, (!is_fixed).then_some(note)));
    }
    // The length of the file bears out a fixed disk. Nothing bears out a table.
    if (is_fixed && footer.current_size == copy.at) || ignore_checksums {
        return Ok(chosen(copy, footer, Some(WRONG_CHECKSUM)));
    }
    Err(copy.parse().err().unwrap_or_else(|| Error::malformed("the footer is damaged")))
}

/// The footer at the end: of 512 bytes, or of 511.
fn read_end(storage: &dyn Storage) -> Result<Option<Copy>> {
    for len in [FOOTER_LEN, OLD_FOOTER_LEN] {
        if let Some(at) = storage.len().checked_sub(len as u64)
            && let Some(copy) = Copy::read(storage, at, len)?
        {
            return Ok(Some(copy));
        }
    }
    Ok(None)
}

/// The copy in front.
fn read_start(storage: &dyn Storage) -> Result<Option<Copy>> {
    if storage.len() < FOOTER_LEN as u64 {
        return Ok(None);
    }
    Copy::read(storage, 0, FOOTER_LEN)
}

/// Note: only the footer at the end is there.
pub(crate) const END_ALONE: &str = "the copy of the footer in front is missing; the one at the end counts";
/// Note: only the copy in front is there.
pub(crate) const START_ALONE: &str = "the footer at the end is missing; its copy in front counts";
/// Note: the copy in front is damaged.
pub(crate) const START_DAMAGED: &str = "the copy of the footer in front is damaged; the one at the end counts";
/// Note: the footer at the end is damaged.
pub(crate) const END_DAMAGED: &str = "the footer at the end is damaged; its copy in front counts";
/// Note: the checksum is wrong, and the rest fits.
pub(crate) const WRONG_CHECKSUM: &str = "the checksum of the footer is wrong, and all else fits together";

#[cfg(test)]
mod tests {
    use imgfmt_core::{ErrorKind, MemoryStorage};

    use super::*;
    use crate::footer::tests::footer;

    type Damage = &'static dyn Fn(&mut Vec<u8>);

    /// A dynamic disk, as far as this module looks.
    fn file(damage: impl Fn(&mut Vec<u8>)) -> Result<Chosen> {
        let mut bytes = vec![0; 4096];
        let footer = footer(DiskType::Dynamic, 8192).to_bytes();
        bytes[..512].copy_from_slice(&footer);
        bytes[4096 - 512..].copy_from_slice(&footer);
        damage(&mut bytes);
        choose(&MemoryStorage::new(bytes), Wanted::Any, false)
    }

    fn sum(bytes: &mut [u8]) {
        let sum = crate::layout::checksum(bytes, FOOTER_CHECKSUM_AT);
        bytes[64..68].copy_from_slice(&sum.to_be_bytes());
    }

    #[test]
    fn whole_footers_agree_and_need_no_note() {
        let chosen = file(|_| {}).unwrap();
        assert_eq!((chosen.at, chosen.data_end, chosen.note), (4096 - 512, 4096 - 512, None));
        assert!(
            file(|bytes| {
                bytes[24] ^= 1;
                sum(&mut bytes[..512]);
            })
            .is_ok()
        );
    }

    #[test]
    fn one_footer_stands_in_for_the_other() {
        let cases: [(Damage, u64, u64, &str); 4] = [
            (&|bytes| bytes[0] = 0, 3584, 3584, END_ALONE),
            (&|bytes| bytes[50] ^= 1, 3584, 3584, START_DAMAGED),
            (&|bytes| bytes.truncate(3584), 0, 3584, START_ALONE),
            (&|bytes| bytes[3584 + 50] ^= 1, 0, 3584, END_DAMAGED),
        ];
        for (damage, at, data_end, note) in cases {
            let chosen = file(damage).unwrap();
            assert_eq!((chosen.at, chosen.data_end, chosen.note), (at, data_end, Some(note)));
        }
    }

    #[test]
    fn footers_that_differ_are_two_disks() {
        let error = file(|bytes| {
            bytes[50] ^= 1;
            sum(&mut bytes[..512]);
        });
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Malformed);
    }

    #[test]
    fn a_wrong_checksum_needs_a_witness() {
        let wrong = |bytes: &mut Vec<u8>| {
            bytes[64] ^= 1;
            bytes[3584 + 64] ^= 1;
        };
        assert_eq!(file(wrong).unwrap().note, Some(WRONG_CHECKSUM));
        let error = file(|bytes| {
            wrong(bytes);
            bytes[0] = 0;
        });
        assert_eq!(error.unwrap_err().offset(), Some(3584 + 64));
        let error = file(|bytes| {
            wrong(bytes);
            bytes[24] ^= 1;
        });
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Malformed);
    }

    #[test]
    fn a_fixed_disk_has_one_footer_of_512_or_511_bytes() {
        for len in [FOOTER_LEN, OLD_FOOTER_LEN] {
            let mut bytes = vec![0; 1024];
            bytes.extend_from_slice(&footer(DiskType::Fixed, 1024).to_bytes()[..len]);
            let chosen = choose(&MemoryStorage::new(bytes.clone()), Wanted::Any, false).unwrap();
            assert_eq!((chosen.at, chosen.data_end, chosen.note), (1024, 1024, None));
            bytes[1024 + 64] ^= 1;
            let chosen = choose(&MemoryStorage::new(bytes.clone()), Wanted::Any, false).unwrap();
            assert_eq!(chosen.note, Some(WRONG_CHECKSUM));
            bytes.insert(0, 0);
            assert!(choose(&MemoryStorage::new(bytes), Wanted::Any, false).is_err());
        }
        let front = footer(DiskType::Fixed, 1024).to_bytes();
        let error = choose(&MemoryStorage::new([front, [0; 512]].concat()), Wanted::Any, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfBounds);
    }
}
