//! Rock Ridge: what the System Use area of the root directory says.
//!
//! | Offset | Size | System Use entry (SUSP 1.12, 4) |
//! |-------:|-----:|---|
//! | 0 | 2 | signature |
//! | 2 | 1 | length of the entry |
//! | 3 | 1 | version |
//!
//! | Signature | Fields |
//! |---|---|
//! | `SP` | 4: 0xbe 0xef; 6: bytes to skip in other areas. The first of the root directory |
//! | `CE` | 4: block of the continuation; 12: offset in it; 20: length; each with both ends |
//! | `ER` | 4: length of the identifier at 8 |
//! | `ST` | the end |

use crate::bytes::{ascii, le32};
use crate::disc::Disc;
use crate::layout::{RECORD_NAME_AT, RECORD_NAME_LEN_AT};
use crate::volume::Volume;

/// What extends the directories of a disc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SystemUse {
    /// Whether there are System Use entries at all.
    pub(crate) used: bool,
    /// Whether there are entries of Rock Ridge: names, permissions and links as POSIX has them.
    pub(crate) rock_ridge: bool,
    /// The extensions that are named.
    pub(crate) extensions: Vec<String>,
}

impl SystemUse {
    /// Reads the entries of the root directory of `volume`. A directory that cannot be read has none: it is data here.
    pub(crate) fn read(disc: &Disc, volume: &Volume) -> Self {
        let mut found = Self::default();
        let at = u64::from(volume.root).saturating_mul(u64::from(volume.block_size));
        let Ok(record) = disc.read_array::<RECORD_MAX_LEN>(at) else { return found };
        let mut next = found.take_area(system_use(&record));
        if !found.used {
            return Self::default();
        }
        for _ in 0..MAX_CONTINUATIONS {
            let Some(Continuation { block, offset, len }) = next.take() else { break };
            let at = u64::from(block).saturating_mul(u64::from(volume.block_size)).saturating_add(u64::from(offset));
            let mut area = vec![0; usize::try_from(len).unwrap_or(0).min(AREA_MAX_LEN)];
            if disc.read_at(&mut area, at).is_err() {
                break;
            }
            next = found.take_area(&area);
        }
        found
    }

    /// Takes note of the entries in `area`; returns where it goes on.
    fn take_area(&mut self, area: &[u8]) -> Option<Continuation> {
        let mut next = None;
        let mut rest = area;
        while let Some(len) = rest.get(2).map(|&len| usize::from(len)).filter(|&len| len >= 4 && len <= rest.len()) {
            let (entry, behind) = rest.split_at(len);
            match &entry[..2] {
                b"SP" => self.used |= entry.get(4..6) == Some(&[0xbe, 0xef]),
                b"RR" | b"PX" => self.rock_ridge = true,
                b"ER" => self.take_extension(entry),
                b"CE" => {
                    next = Some(Continuation { block: le32(entry, 4), offset: le32(entry, 12), len: le32(entry, 20) })
                }
                b"ST" => break,
                _ => {}
            }
            rest = behind;
        }
        next
    }

    /// Takes note of an extension by its name.
    fn take_extension(&mut self, entry: &[u8]) {
        let len = usize::from(entry.get(4).copied().unwrap_or(0));
        let Some(name) = entry.get(8..8 + len) else { return };
        let name = ascii(name);
        self.rock_ridge |= ROCK_RIDGE.contains(&name.as_str());
        if self.extensions.len() < MAX_EXTENSIONS {
            self.extensions.push(name);
        }
    }
}

/// Where a System Use area goes on.
struct Continuation {
    /// The logical block.
    block: u32,
    /// The byte in it.
    offset: u32,
    /// Bytes that there are.
    len: u32,
}

/// The System Use area of a directory record.
fn system_use(record: &[u8]) -> &[u8] {
    let end = usize::from(record[0]);
    let name_len = usize::from(record[RECORD_NAME_LEN_AT]);
    // The name is filled up to an even place.
    let start = RECORD_NAME_AT + name_len + usize::from(name_len.is_multiple_of(2));
    record.get(start..end).unwrap_or_default()
}

/// Names of Rock Ridge. RRIP 1.09, 4.3; RRIP 1.12, 4.3.
const ROCK_RIDGE: [&str; 3] = ["RRIP_1991A", "IEEE_P1282", "IEEE_1282"];
/// Bytes of the longest directory record.
const RECORD_MAX_LEN: usize = 255;
/// Bytes of an area that are looked at.
const AREA_MAX_LEN: usize = 2048;
/// Areas that follow the first.
const MAX_CONTINUATIONS: usize = 4;
/// Extensions that are named.
const MAX_EXTENSIONS: usize = 16;
