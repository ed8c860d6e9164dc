//! From options to settings that fit together.

use imgfmt_core::{CreateRequest, Error, OptionSpec, Options, Result};
use uuid::Uuid;

use super::locator;
use crate::geometry::Geometry;
use crate::layout::{ALIGN, BAT_ENTRY_LEN, MAX_BLOCK_LEN, MAX_DISK_LEN, MIN_BLOCK_LEN};

/// What a new image is to be; every combination in here is one that the format has.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Size, block, sector, and whether there is a parent.
    pub(super) geometry: Geometry,
    /// Guest bytes that will be placed: the size before it was rounded to sectors.
    pub(super) placed_len: u64,
    /// Bytes of a sector as the guest should write it.
    pub(super) physical_sector_len: u32,
    /// Bytes of the log.
    pub(super) log_len: u32,
    /// Whether every block has its place.
    pub(super) fixed: bool,
    /// Whether a block of zeros is said to be zero, where no parent has to be hidden.
    pub(super) zero_state: bool,
    /// Whether zeros are written as data.
    pub(super) zeros_as_data: bool,
    /// The parent locator, of a differencing disk.
    pub(super) locator: Option<Vec<u8>>,
    /// The file's identifiers.
    pub(super) guids: Guids,
}

/// The identifiers of a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guids {
    /// Of the guest's data.
    pub(super) data_write: Uuid,
    /// Of the file.
    pub(super) file_write: Uuid,
    /// Of the disk.
    pub(super) disk: Uuid,
}

/// Where the parts of a new file are, in host bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// The log.
    pub(super) log: u64,
    /// The metadata: 1 MiB.
    pub(super) metadata: u64,
    /// The block allocation table.
    pub(super) bat: u64,
    /// Bytes of the region that the table is in.
    pub(super) bat_len: u32,
    /// The first block.
    pub(super) data: u64,
}

impl Settings {
    /// Settings for `request`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for what the format does not have.
    pub(super) fn new(request: &CreateRequest<'_>) -> Result<Self> {
        request.options.check(OPTIONS)?;
        refuse(request)?;
        let options = request.options;
        let fixed = options.word("subformat", &[("dynamic", false), ("fixed", true)], false)?;
        if fixed && request.backing.is_some() {
            return Err(Error::invalid("subformat=fixed: a disk that builds on another one is differencing"));
        }
        let (sector_len, physical_sector_len) = sector_lens(options)?;
        let size = rounded_size(request.size, sector_len)?;
        let block_len = block_len(options, size)?;
        Ok(Self {
            geometry: Geometry { size, block_len, sector_len, differencing: request.backing.is_some() },
            placed_len: request.size,
            physical_sector_len,
            log_len: log_len(options)?,
            fixed,
            zero_state: options.flag("block_state_zero", false)?,
            zeros_as_data: request.full_allocation && request.backing.is_none(),
            locator: request.backing.map(locator::build).transpose()?,
            guids: Guids::new(options)?,
        })
    }

    /// Where the parts of the file are: log, metadata, table, blocks.
    pub(super) fn places(&self) -> Result<Places> {
        let metadata = ALIGN + u64::from(self.log_len);
        let bat = metadata + METADATA_REGION_LEN;
        // With room for what a differencing disk has more, whatever it is: § 2.5.
        let most = Geometry { differencing: true, ..self.geometry };
        let bat_len = (most.entries() * BAT_ENTRY_LEN).next_multiple_of(ALIGN).max(ALIGN);
        let too_large = |_| Error::invalid(format!("block_size: the table would take {bat_len} bytes"));
        Ok(Places {
            log: ALIGN,
            metadata,
            bat,
            bat_len: u32::try_from(bat_len).map_err(too_large)?,
            data: bat + bat_len,
        })
    }
}

impl Guids {
    /// New identifiers, or those that follow from the option `guid`: variants of it in the first byte, so that they stay
    /// well formed.
    fn new(options: &Options) -> Result<Self> {
        let data_write = match options.get("guid") {
            None => Uuid::new_v4(),
            Some(text) => {
                Uuid::parse_str(text).map_err(|_| Error::invalid(format!("guid is {text}, which is no GUID")))?
            }
        };
        let variant = |number: u8| {
            let mut bytes = data_write.into_bytes();
            bytes[0] ^= number;
            Uuid::from_bytes(bytes)
        };
        Ok(Self { data_write, file_write: variant(1), disk: variant(2) })
    }
}

/// Refuses what the format, or writing it, cannot do.
fn refuse(request: &CreateRequest<'_>) -> Result<()> {
    if request.compress {
        return Err(Error::invalid("a VHDX image cannot be compressed"));
    }
    if !request.bitmaps.is_empty() {
        return Err(Error::invalid("a VHDX image has no room for dirty bitmaps"));
    }
    if request.size_grows {
        return Err(Error::unsupported("the tables of a VHDX image come first, so its size has to be known before"));
    }
    Ok(())
}

/// The two sector sizes.
fn sector_lens(options: &Options) -> Result<(u64, u32)> {
    let logical = options.word("logical_sector_size", SECTORS, 512)?;
    let physical = options.word("physical_sector_size", SECTORS, 4096)?;
    if physical < logical {
        let what = format!("physical_sector_size is {physical}, less than logical_sector_size, {logical}");
        return Err(Error::invalid(what));
    }
    Ok((u64::from(logical), physical))
}

/// The virtual size in whole sectors.
fn rounded_size(size: u64, sector_len: u64) -> Result<u64> {
    size.checked_next_multiple_of(sector_len)
        .filter(|&size| size <= MAX_DISK_LEN)
        .ok_or_else(|| Error::invalid(format!("a disk of {size} bytes is too large: VHDX ends at 64 TiB")))
}

/// The option `block_size`, or what suits the disk.
fn block_len(options: &Options, size: u64) -> Result<u64> {
    match options.size("block_size", 0)? {
        // Small blocks make short files; larger ones keep the table of a large disk below 8 MiB.
        0 => Ok(size.div_ceil(AUTO_BLOCKS).next_power_of_two().max(MIN_AUTO_BLOCK_LEN)),
        len if len.is_power_of_two() && (MIN_BLOCK_LEN..=MAX_BLOCK_LEN).contains(&len) => Ok(len),
        len => Err(Error::invalid(format!("block_size is {len}, which is no power of two from 1M to 256M"))),
    }
}

/// The option `log_size`.
fn log_len(options: &Options) -> Result<u32> {
    let len = options.size("log_size", ALIGN)?;
    let right = len != 0 && len.is_multiple_of(ALIGN);
    u32::try_from(len)
        .ok()
        .filter(|_| right)
        .ok_or_else(|| Error::invalid(format!("log_size is {len}, which is no multiple of 1M below 4G")))
}

/// Options of a new image.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "subformat",
        values: "dynamic|fixed",
        default: "dynamic",
        help: "give blocks their place when they are needed, or all at once; with a backing file, differencing",
    },
    OptionSpec {
        name: "block_size",
        values: "SIZE",
        default: "0",
        help: "bytes that are allocated as one, a power of two from 1M to 256M; 0 for 2M, and more above 2T",
    },
    OptionSpec {
        name: "block_state_zero",
        values: "on|off",
        default: "off",
        help: "say of blocks of zeros that they are zero, and not only that they are not there",
    },
    OptionSpec { name: "log_size", values: "SIZE", default: "1M", help: "room for the log, a multiple of 1M" },
    OptionSpec {
        name: "logical_sector_size",
        values: "512|4096",
        default: "512",
        help: "sector as the guest addresses it; a differencing disk has its parent's",
    },
    OptionSpec {
        name: "physical_sector_size",
        values: "512|4096",
        default: "4096",
        help: "sector as the guest should write it",
    },
    OptionSpec {
        name: "guid",
        values: "GUID",
        default: "random",
        help: "identifier of the data, from which the file's others follow: the same input then gives the same file",
    },
];

/// Words of the sector sizes.
const SECTORS: &[(&str, u32)] = &[("512", 512), ("4096", 4096)];
/// Smallest block that is chosen: that of Hyper-V's differencing disks.
const MIN_AUTO_BLOCK_LEN: u64 = 2 << 20;
/// Most blocks of a disk whose block is chosen.
const AUTO_BLOCKS: u64 = 1 << 20;
/// Bytes of the region of the metadata.
pub(super) const METADATA_REGION_LEN: u64 = ALIGN;
