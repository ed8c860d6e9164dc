//! Volume descriptors of ISO 9660 and High Sierra.

use imgfmt_core::{Error, Result};

use crate::bytes::{ascii, be32, date, le16, le32, part, ucs2};
use crate::layout::{
    APPLICATION, BLOCK_SIZE_AT, BOOT_SYSTEM_AT, CATALOG_AT, CREATED_AT, DATE_LEN, DESCRIPTOR_LEN, DescriptorType,
    EL_TORITO, ENHANCED_VERSION, ESCAPES_AT, HIGH_SIERRA, HIGH_SIERRA_SHIFT, IDENTIFIER_AT, ISO_9660, JOLIET,
    MODIFIED_AT, PREPARER, PUBLISHER, RECORD_EXTENT_AT, ROOT_AT, SECTOR_LEN, SEQUENCE_AT, SET_SIZE_AT, SPACE_SIZE_AT,
    SYSTEM, VERSION_AT, VOLUME, VOLUME_SET,
};

/// A volume descriptor, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Descriptor {
    /// A boot record of El Torito, with the sector of its catalog.
    ElTorito(u32),
    /// The volume.
    Primary(Box<Volume>),
    /// The volume once more, in Joliet of this level, with its identifier.
    Joliet(usize, String),
    /// The volume once more, in ISO 9660:1999.
    Enhanced,
    /// The end of the descriptors.
    Terminator,
    /// Another one.
    Other,
}

/// A volume as its primary descriptor says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    /// Whether it is of High Sierra.
    pub(crate) high_sierra: bool,
    /// For which system the system area is.
    pub(crate) system: String,
    /// Its name.
    pub(crate) identifier: String,
    /// Logical blocks that it takes.
    pub(crate) space_size: u32,
    /// The same number with the other end first, where it is another.
    pub(crate) other_space_size: Option<u32>,
    /// Bytes of a logical block.
    pub(crate) block_size: u16,
    /// Volumes of the set.
    pub(crate) set_size: u16,
    /// Which of them this is.
    pub(crate) sequence: u16,
    /// The name of the set.
    pub(crate) set: String,
    /// Who published it.
    pub(crate) publisher: String,
    /// Who prepared the data, most often a program.
    pub(crate) preparer: String,
    /// By which application.
    pub(crate) application: String,
    /// When it was made.
    pub(crate) created: Option<String>,
    /// When it was changed.
    pub(crate) modified: Option<String>,
    /// The logical block of the root directory.
    pub(crate) root: u32,
}

impl Volume {
    /// Bytes that it takes.
    pub(crate) fn len(&self) -> u64 {
        u64::from(self.space_size) * u64::from(self.block_size)
    }

    /// Parses a primary volume descriptor, whose fields are `shift` bytes further on in High Sierra.
    fn parse(sector: &[u8; DESCRIPTOR_LEN], shift: usize) -> Result<Self> {
        let fields = &sector[shift..];
        let space_size = le32(fields, SPACE_SIZE_AT);
        let volume = Self {
            high_sierra: shift > 0,
            system: ascii(part(fields, SYSTEM)),
            identifier: ascii(part(fields, VOLUME)),
            space_size,
            other_space_size: Some(be32(fields, SPACE_SIZE_AT + 4)).filter(|&other| other != space_size),
            block_size: block_size(fields).map_err(|e| e.at((BLOCK_SIZE_AT + shift) as u64))?,
            set_size: le16(fields, SET_SIZE_AT),
            sequence: le16(fields, SEQUENCE_AT),
            ..Self::default()
        };
        Ok(if volume.high_sierra {
            Self { root: le32(sector, HIGH_SIERRA_ROOT_AT + RECORD_EXTENT_AT), ..volume }
        } else {
            volume.with_names(sector)
        })
    }

    /// The same with what lies behind the root directory, which has other places in High Sierra.
    fn with_names(self, sector: &[u8; DESCRIPTOR_LEN]) -> Self {
        Self {
            root: le32(sector, ROOT_AT + RECORD_EXTENT_AT),
            set: ascii(part(sector, VOLUME_SET)),
            publisher: ascii(part(sector, PUBLISHER)),
            preparer: ascii(part(sector, PREPARER)),
            application: ascii(part(sector, APPLICATION)),
            created: date(part(sector, (CREATED_AT, DATE_LEN))),
            modified: date(part(sector, (MODIFIED_AT, DATE_LEN))),
            ..self
        }
    }
}

/// Bytes of a logical block.
fn block_size(fields: &[u8]) -> Result<u16> {
    let size = le16(fields, BLOCK_SIZE_AT);
    if size.is_power_of_two() && size >= 512 && u64::from(size) <= SECTOR_LEN {
        return Ok(size);
    }
    Err(Error::malformed(format!("is {size}, which is none of 512, 1024 and 2048")).field("Logical Block Size"))
}

impl Descriptor {
    /// Parses a sector; `None` where it is no descriptor of these standards. Errors name bytes of the sector.
    pub(crate) fn parse(sector: &[u8; DESCRIPTOR_LEN]) -> Result<Option<Self>> {
        let shift = match identifier(sector) {
            Some(shift) => shift,
            None => return Ok(None),
        };
        let kind = DescriptorType(sector[shift]);
        let descriptor = match kind {
            DescriptorType::TERMINATOR => Self::Terminator,
            DescriptorType::PRIMARY => Self::Primary(Box::new(Volume::parse(sector, shift)?)),
            DescriptorType::BOOT if sector[BOOT_SYSTEM_AT..].starts_with(EL_TORITO) => {
                Self::ElTorito(le32(sector, CATALOG_AT))
            }
            DescriptorType::SUPPLEMENTARY => supplementary(sector),
            _ => Self::Other,
        };
        Ok(Some(descriptor))
    }
}

/// Parses a supplementary volume descriptor.
fn supplementary(sector: &[u8; DESCRIPTOR_LEN]) -> Descriptor {
    let escapes = &sector[ESCAPES_AT..];
    match JOLIET.iter().position(|sequence| escapes.starts_with(*sequence)) {
        Some(index) => Descriptor::Joliet(index + 1, ucs2(part(sector, VOLUME))),
        None if sector[VERSION_AT] == ENHANCED_VERSION => Descriptor::Enhanced,
        None => Descriptor::Other,
    }
}

/// How much further on the fields of a descriptor are, if the sector is one.
pub(crate) fn identifier(sector: &[u8]) -> Option<usize> {
    let at = |shift: usize| sector.get(shift + IDENTIFIER_AT..shift + IDENTIFIER_AT + ISO_9660.len());
    if at(0) == Some(ISO_9660.as_slice()) {
        return Some(0);
    }
    (at(HIGH_SIERRA_SHIFT) == Some(HIGH_SIERRA.as_slice())).then_some(HIGH_SIERRA_SHIFT)
}

/// Position of the root directory's record in High Sierra, where more path tables come before it.
const HIGH_SIERRA_ROOT_AT: usize = 180;
