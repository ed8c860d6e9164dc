//! From options to settings that fit together.

use imgfmt_core::codec::{Codec, Compression};
use imgfmt_core::{Backing, CreateRequest, Error, OptionSpec, Options, Result};

use super::facts::Facts;
use super::names;
use crate::NAME;
use crate::layout::SECTOR_LEN;
use crate::parent::{CID, NO_PARENT};

/// What a new image is to be; every combination in here is one that the format has.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Which kind.
    pub(super) subformat: Subformat,
    /// Guest sectors; not 0.
    pub(super) sectors: u64,
    /// Sectors of a grain.
    pub(super) grain: u64,
    /// Whether a table entry can say that a grain is zeros.
    pub(super) zeroed_grain: bool,
    /// How grains are compressed, where they are.
    pub(super) compression: Compression,
    /// Whether zeros take space too.
    pub(super) full_allocation: bool,
    /// What the image builds on.
    pub(super) parent: Option<ParentLink>,
    /// What the descriptor says besides.
    pub(super) facts: Facts,
}

/// The kinds of image that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subformat {
    /// One file with tables and grains.
    MonolithicSparse,
    /// The same, compressed and in one pass.
    StreamOptimized,
    /// A descriptor, and one file of bytes as they are.
    MonolithicFlat,
    /// A descriptor, and files with tables and grains.
    SplitSparse,
    /// A descriptor, and files of bytes as they are.
    SplitFlat,
    /// As `MonolithicFlat`, for ESX.
    Vmfs,
}

/// How a child knows its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParentLink {
    /// The parent's content identity when the child is made.
    pub(crate) cid: u32,
    /// The parent's file.
    pub(crate) hint: String,
}

impl Subformat {
    /// The value of `createType`. "The Header".
    pub(super) fn name(self) -> &'static str {
        SUBFORMATS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Whether guest bytes are in grains.
    pub(super) fn has_grains(self) -> bool {
        matches!(self, Self::MonolithicSparse | Self::StreamOptimized | Self::SplitSparse)
    }
}

impl Settings {
    /// Settings for `request`.
    pub(super) fn new(request: &CreateRequest<'_>) -> Result<Self> {
        let options = request.options;
        options.check(OPTIONS)?;
        let default = if request.compress { Subformat::StreamOptimized } else { Subformat::MonolithicSparse };
        let subformat = options.word("subformat", &SUBFORMATS, default)?;
        check_combination(subformat, request)?;
        let grain = grain(options)?;
        let settings = Self {
            subformat,
            sectors: sectors(request.size)?,
            grain,
            zeroed_grain: options.flag("zeroed_grain", false)?,
            compression: compression(options, grain * SECTOR_LEN)?,
            full_allocation: request.full_allocation && subformat != Subformat::StreamOptimized,
            parent: request.backing.map(parent_link).transpose()?,
            facts: Facts::new(options)?,
        };
        if subformat == Subformat::SplitSparse && !SPLIT_SECTORS.is_multiple_of(grain) {
            return Err(Error::invalid("with subformat=twoGbMaxExtentSparse, grain_size is at most 1M"));
        }
        Ok(settings)
    }

    /// Guest bytes of a grain.
    pub(super) fn grain_len(&self) -> u64 {
        self.grain * SECTOR_LEN
    }

    /// Whether zeros have to be stored as any other bytes: because space is wanted for them, or because nothing else
    /// would hide the parent's. A stream has no room for tables of zeros alone: they would wait in memory for a grain.
    pub(super) fn stores_zeros(&self) -> bool {
        let hides = self.zeroed_grain && self.subformat != Subformat::StreamOptimized;
        self.full_allocation || (self.parent.is_some() && !hides)
    }

    /// The sizes in sectors of the extents that the disk consists of.
    pub(super) fn extents(&self) -> Result<Vec<u64>> {
        if !matches!(self.subformat, Subformat::SplitFlat | Subformat::SplitSparse) {
            return Ok(vec![self.sectors]);
        }
        let count = self.sectors.div_ceil(SPLIT_SECTORS);
        if count > MAX_EXTENTS {
            let what = format!("the disk would be split into {count} extents, and readers take {MAX_EXTENTS} at most");
            return Err(Error::invalid(what));
        }
        let size_of = |number| SPLIT_SECTORS.min(self.sectors - number * SPLIT_SECTORS);
        Ok((0..count).map(size_of).collect())
    }
}

/// Refuses options and circumstances that the subformat has no room for.
fn check_combination(subformat: Subformat, request: &CreateRequest<'_>) -> Result<()> {
    let name = subformat.name();
    let given = |option| request.options.get(option).is_some_and(|value| value != "off");
    let stream = subformat == Subformat::StreamOptimized;
    let conflicts = [
        (request.compress && !stream, "has no compressed grains; subformat=streamOptimized has"),
        (given("compression_level") && !stream, "has no compressed grains, so no compression_level"),
        (given("grain_size") && !subformat.has_grains(), "has no grains, so no grain_size"),
        (given("zeroed_grain") && !subformat.has_grains(), "has no grains, so no zeroed_grain"),
        (request.backing.is_some() && !subformat.has_grains(), "cannot build on another image"),
    ];
    match conflicts.iter().find(|(conflict, _)| *conflict) {
        Some((_, what)) => Err(Error::invalid(format!("subformat={name} {what}"))),
        None => Ok(()),
    }
}

/// The disk in whole sectors. Rounded up, since nothing in the format is smaller.
fn sectors(size: u64) -> Result<u64> {
    match size.div_ceil(SECTOR_LEN) {
        0 => Err(Error::invalid("a VMDK has at least one sector")),
        sectors if sectors > i64::MAX as u64 / SECTOR_LEN => {
            Err(Error::invalid(format!("a disk of {size} bytes is too large")))
        }
        sectors => Ok(sectors),
    }
}

/// The option `grain_size`, in sectors.
fn grain(options: &Options) -> Result<u64> {
    let len = options.size("grain_size", DEFAULT_GRAIN_LEN)?;
    if !len.is_power_of_two() || !(MIN_GRAIN_LEN..=MAX_GRAIN_LEN).contains(&len) {
        return Err(Error::invalid(format!("grain_size is {len}, which is not a power of two from 8k to 2M")));
    }
    Ok(len / SECTOR_LEN)
}

/// How grains would be compressed. A stream may take as much as the worst that a sound encoder makes of a grain.
fn compression(options: &Options, grain_len: u64) -> Result<Compression> {
    let grain_len = usize::try_from(grain_len).unwrap_or(usize::MAX);
    let max_len = grain_len + 5 * grain_len.div_ceil(LEAST_BLOCK_LEN) + STREAM_FRAME_LEN;
    let mut compression = Compression::new(Codec::Zlib, max_len);
    if let Some(level) = options.number("compression_level")? {
        let levels = Compression::levels(Codec::Zlib);
        let level = i32::try_from(level).ok().filter(|level| levels.contains(level));
        compression.level = Some(level.ok_or_else(|| {
            Error::invalid(format!("compression_level is outside {} to {}", levels.start(), levels.end()))
        })?);
    }
    Ok(compression)
}

/// How an image knows the one that it builds on.
pub(crate) fn parent_link(backing: &Backing) -> Result<ParentLink> {
    if backing.name.format.as_deref().is_some_and(|format| format != NAME) {
        return Err(Error::invalid("a VMDK can only build on a VMDK"));
    }
    let hint = names::quotable(backing.name.name.as_os_str())
        .ok_or_else(|| Error::invalid("the name of the backing file cannot stand in a descriptor"))?;
    let cid = backing.identities.iter().find(|identity| identity.kind == CID);
    let cid = cid.and_then(|identity| u32::from_str_radix(&identity.value, 16).ok());
    let cid = cid.filter(|&cid| cid != NO_PARENT);
    let cid = cid.ok_or_else(|| Error::invalid("the backing file has no CID, by which a VMDK knows its parent"))?;
    Ok(ParentLink { cid, hint: hint.to_owned() })
}

/// Options of a new image.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "subformat",
        values: "monolithicSparse|streamOptimized|monolithicFlat|twoGbMaxExtentSparse|twoGbMaxExtentFlat|vmfs",
        default: "monolithicSparse",
        help: "kind of image; streamOptimized is compressed and what ESXi imports, vmfs is what it runs",
    },
    OptionSpec {
        name: "adapter_type",
        values: "ide|buslogic|lsilogic|legacyESX|pvscsi",
        default: "ide",
        help: "controller that the disk is for",
    },
    OptionSpec { name: "hwversion", values: "NUM", default: "4", help: "version of the virtual hardware" },
    OptionSpec {
        name: "toolsversion",
        values: "NUM",
        default: "2147483647",
        help: "version of the VMware Tools in it",
    },
    OptionSpec { name: "compat6", values: "on|off", default: "off", help: "the same as hwversion=6" },
    OptionSpec { name: "uuid", values: "UUID", default: "none", help: "identity of the disk" },
    OptionSpec {
        name: "cid",
        values: "HEX",
        default: "random",
        help: "content identity, by which children know their parent",
    },
    OptionSpec {
        name: "zeroed_grain",
        values: "on|off",
        default: "off",
        help: "hide a backing file's bytes by table entries for zeros, which old readers do not know",
    },
    OptionSpec {
        name: "grain_size",
        values: "SIZE",
        default: "64k",
        help: "bytes that are allocated as one, a power of two from 8k to 2M; VMware writes 64k alone",
    },
    OptionSpec {
        name: "compression_level",
        values: "NUM",
        default: "3",
        help: "1 to 12; grains that are compressed already are compressed anew",
    },
];

/// Words of the option `subformat`.
const SUBFORMATS: [(&str, Subformat); 6] = [
    ("monolithicSparse", Subformat::MonolithicSparse),
    ("streamOptimized", Subformat::StreamOptimized),
    ("monolithicFlat", Subformat::MonolithicFlat),
    ("twoGbMaxExtentSparse", Subformat::SplitSparse),
    ("twoGbMaxExtentFlat", Subformat::SplitFlat),
    ("vmfs", Subformat::Vmfs),
];
/// Sectors of an extent of a disk that is split, but for the last: 2047 MiB, as VMware splits.
const SPLIT_SECTORS: u64 = 4_192_256;
/// Most extents of a disk that is split: what readers take by default, some 8 TiB.
const MAX_EXTENTS: u64 = 4096;
/// Bytes of a grain by default. "Hosted Sparse Extents".
const DEFAULT_GRAIN_LEN: u64 = 64 << 10;
/// Smallest grain, in bytes: the specification wants more than 8 sectors.
const MIN_GRAIN_LEN: u64 = 8 << 10;
/// Largest grain that is written, in bytes. Not a rule of the format.
const MAX_GRAIN_LEN: u64 = 2 << 20;
/// Bytes that an encoder puts into a block at least; each block adds 5 where nothing shrinks. libdeflate's.
const LEAST_BLOCK_LEN: usize = 5000;
/// Room for what frames a zlib stream.
const STREAM_FRAME_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(options: &str, size: u64) -> Result<Settings> {
        Settings::new(&CreateRequest::new(size, &Options::parse(options).unwrap()))
    }

    #[test]
    fn disks_are_whole_sectors_and_at_least_one() {
        assert!(settings("", 0).is_err() && settings("", u64::MAX).is_err());
        assert_eq!(settings("", 513).unwrap().sectors, 2);
    }

    #[test]
    fn large_disks_are_split_as_vmware_splits() {
        let extents = settings("subformat=twoGbMaxExtentFlat", (4 << 30) + 512).unwrap().extents().unwrap();
        assert_eq!(extents, [4_192_256, 4_192_256, (8 << 20) + 1 - 2 * 4_192_256]);
        assert!(settings("subformat=twoGbMaxExtentSparse", 9 << 40).unwrap().extents().is_err());
        assert_eq!(settings("", 9 << 40).unwrap().extents().unwrap().len(), 1);
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for wrong in [
            "subformat=monolithicFlat,grain_size=64k",
            "subformat=vmfs,zeroed_grain=on",
            "subformat=monolithicSparse,compression_level=3",
            "subformat=streamOptimized,compression_level=0",
            "subformat=twoGbMaxExtentSparse,grain_size=2M",
            "grain_size=4k",
            "grain_size=4M",
            "grain_size=5k",
            "compat6=on,hwversion=7",
            "subformat=sparse",
            "adapter_type=scsi",
        ] {
            assert!(settings(wrong, 1 << 20).is_err(), "{wrong}");
        }
        let options = Options::parse("subformat=monolithicSparse").unwrap();
        let request = CreateRequest { compress: true, ..CreateRequest::new(1, &options) };
        assert!(Settings::new(&request).is_err());
        let none = Options::new();
        let request = CreateRequest { compress: true, ..CreateRequest::new(1, &none) };
        assert_eq!(Settings::new(&request).unwrap().subformat, Subformat::StreamOptimized);
    }
}
