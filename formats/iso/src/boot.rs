//! The boot catalog of El Torito (El Torito Bootable CD-ROM Format Specification 1.0, "Booting Catalog").
//!
//! Entries of 32 bytes. The first validates, the second is booted by default, and sections follow.
//!
//! | Offset | Size | Validation entry | Rule |
//! |-------:|-----:|---|---|
//! | 0 | 1 | Header ID | 1 |
//! | 1 | 1 | Platform ID | 0 x86, 1 PowerPC, 2 Mac, 0xef UEFI |
//! | 4 | 24 | ID string | |
//! | 28 | 2 | Checksum | all words of the entry add up to 0 |
//! | 30 | 2 | Key | 0x55 0xaa |
//!
//! | Offset | Size | Default and section entries | Rule |
//! |-------:|-----:|---|---|
//! | 0 | 1 | Boot Indicator | 0x88 bootable, 0 not |
//! | 1 | 1 | Boot media type | low four bits: 0 none, 1 to 3 floppies, 4 hard disk |
//! | 2 | 2 | Load Segment | |
//! | 6 | 2 | Sector Count | of 512 bytes |
//! | 8 | 4 | Load RBA | sector of the disc |
//!
//! | Offset | Size | Section header | Rule |
//! |-------:|-----:|---|---|
//! | 0 | 1 | Header Indicator | 0x90, 0x91 for the last |
//! | 1 | 1 | Platform ID | |
//! | 2 | 2 | Number of section entries | |

use serde_json::{Value, json};

use crate::bytes::{ascii, le16, le32, part};
use crate::layout::DESCRIPTOR_LEN;

/// How a disc boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Catalog {
    /// Whether the validation entry is right.
    pub(crate) valid: bool,
    /// Who made it.
    pub(crate) id: String,
    /// What can be booted.
    pub(crate) entries: Vec<Entry>,
}

/// Something that can be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// For which machines.
    platform: Platform,
    /// Whether it is to be booted.
    bootable: bool,
    /// What it is booted as.
    media: u8,
    /// The segment it is loaded to; 0 for the usual one.
    load_segment: u16,
    /// Sectors of 512 bytes that are loaded.
    sectors: u16,
    /// The sector of the disc at which it starts.
    pub(crate) load_at: u32,
}

/// The kind of machine that an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Platform(u8);

impl Platform {
    /// Its name, or its number.
    fn name(self) -> String {
        match self.0 {
            0 => "x86".to_owned(),
            1 => "PowerPC".to_owned(),
            2 => "Mac".to_owned(),
            0xef => "UEFI".to_owned(),
            other => format!("{other:#04x}"),
        }
    }
}

impl Catalog {
    /// Parses the sector of a boot catalog.
    pub(crate) fn parse(sector: &[u8; DESCRIPTOR_LEN]) -> Self {
        let mut rest = sector.chunks_exact(ENTRY_LEN);
        let validation = rest.next().unwrap_or_default();
        let mut platform = Platform(validation[1]);
        let mut entries: Vec<_> = rest.next().map(|entry| Entry::parse(entry, platform)).into_iter().collect();
        let (mut left, mut last) = (0, false);
        for entry in rest {
            match entry[0] {
                _ if left > 0 && entry[0] != EXTENSION => {
                    entries.push(Entry::parse(entry, platform));
                    left -= 1;
                }
                MORE_SECTIONS | LAST_SECTION if !last => {
                    (platform, left, last) = (Platform(entry[1]), le16(entry, 2), entry[0] == LAST_SECTION);
                }
                EXTENSION => {}
                _ => break,
            }
        }
        Self { valid: is_valid(validation), id: ascii(part(validation, (4, 24))), entries }
    }

    /// What there is to say.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "valid": self.valid,
            "id": self.id,
            "entries": self.entries.iter().map(|entry| entry.to_json()).collect::<Vec<_>>(),
        })
    }
}

impl Entry {
    /// Parses a default or section entry.
    fn parse(entry: &[u8], platform: Platform) -> Self {
        Self {
            platform,
            bootable: entry[0] == BOOTABLE,
            media: entry[1] & 0x0f,
            load_segment: le16(entry, 2),
            sectors: le16(entry, 6),
            load_at: le32(entry, 8),
        }
    }

    /// What there is to say.
    fn to_json(self) -> Value {
        json!({
            "platform": self.platform.name(),
            "bootable": self.bootable,
            "media": MEDIA.get(usize::from(self.media)).copied().unwrap_or("unknown"),
            "load-segment": self.load_segment,
            "load-sectors": self.sectors,
            "load-lba": self.load_at,
        })
    }
}

/// Whether a validation entry is right.
fn is_valid(entry: &[u8]) -> bool {
    let sum = (0..ENTRY_LEN).step_by(2).fold(0u16, |sum, at| sum.wrapping_add(le16(entry, at)));
    entry[0] == 1 && sum == 0 && entry[30..] == [0x55, 0xaa]
}

/// Bytes of an entry.
const ENTRY_LEN: usize = 32;
/// An entry that is to be booted.
const BOOTABLE: u8 = 0x88;
/// The header of a section that others follow.
const MORE_SECTIONS: u8 = 0x90;
/// The header of the last section.
const LAST_SECTION: u8 = 0x91;
/// More about the entry before.
const EXTENSION: u8 = 0x44;
/// What entries are booted as.
const MEDIA: [&str; 5] = ["no emulation", "1.2M floppy", "1.44M floppy", "2.88M floppy", "hard disk"];
