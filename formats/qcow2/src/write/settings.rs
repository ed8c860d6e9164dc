//! From options to settings that fit together.

use imgfmt_core::codec::{Codec, Compression};
use imgfmt_core::{CreateRequest, Error, Limits, OptionSpec, Options, ParentName, Result};

use crate::layout;

/// What a new image is to be; every combination in here is one that the format has.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// 2 or 3.
    pub(super) version: u32,
    /// log2 of the cluster length.
    pub(super) cluster_bits: u32,
    /// log2 of the width of a refcount in bits.
    pub(super) refcount_order: u32,
    /// Whether the header allows refcounts to be written late.
    pub(super) lazy_refcounts: bool,
    /// The codec of compressed clusters, used or not.
    pub(super) codec: Codec,
    /// How clusters are compressed, where they are.
    pub(super) compression: Option<Compression>,
    /// What space is taken for zeros.
    pub(super) preallocation: Preallocation,
    /// The file that the image builds on.
    pub(super) backing: Option<ParentName>,
    /// Guest bytes: whole sectors, since readers count in them.
    pub(super) size: u64,
}

/// The values of the option `preallocation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preallocation {
    /// Zeros take no cluster.
    Off,
    /// Every cluster has its place, and the file is sparse.
    Metadata,
    /// And the file system takes the space.
    Falloc,
    /// And zeros are written.
    Full,
}

impl Settings {
    /// Settings for `request`.
    pub(super) fn new(request: &CreateRequest<'_>) -> Result<Self> {
        refuse_later_options(request.options)?;
        request.options.check(OPTIONS)?;
        let options = request.options;
        let version = options.word("compat", &[("0.10", 2), ("v2", 2), ("1.1", 3), ("v3", 3)], 3)?;
        let cluster_bits = cluster_bits(options)?;
        let codec =
            options.word("compression_type", &[("zlib", Codec::Deflate), ("zstd", Codec::Zstd)], Codec::Deflate)?;
        let settings = Self {
            version,
            cluster_bits,
            refcount_order: refcount_order(options)?,
            lazy_refcounts: options.flag("lazy_refcounts", false)?,
            codec,
            compression: compression(options, codec, cluster_bits)?.filter(|_| request.compress),
            preallocation: preallocation(
                options,
                request.full_allocation && !request.compress && request.backing.is_none(),
            )?,
            backing: request.backing.map(|backing| backing.name.clone()),
            size: rounded_size(request.size)?,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Bytes of a cluster.
    pub(super) fn cluster_len(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Entries of an L2 table, each of 8 bytes.
    pub(super) fn l2_entries(&self) -> u64 {
        self.cluster_len() / 8
    }

    /// Entries of the L1 table that cover the disk.
    pub(super) fn l1_entries(&self) -> u64 {
        self.size.div_ceil(self.cluster_len() * self.l2_entries())
    }

    /// Checks that the settings fit together.
    fn check(&self) -> Result<()> {
        let needs_v3 = [
            (self.lazy_refcounts, "lazy_refcounts"),
            (self.refcount_order != layout::V2_REFCOUNT_ORDER, "refcount_bits other than 16"),
            (self.codec == Codec::Zstd, "compression_type=zstd"),
        ];
        if let Some((_, what)) = needs_v3.iter().find(|(used, _)| *used && self.version < 3) {
            return Err(Error::invalid(format!("{what} needs compat=1.1")));
        }
        if self.preallocation != Preallocation::Off {
            if self.compression.is_some() {
                return Err(Error::invalid("preallocation and compression exclude each other"));
            }
            if self.backing.is_some() {
                return Err(Error::invalid("preallocation would hide the backing file"));
            }
        }
        if let Some(backing) = &self.backing {
            let len = backing.name.as_os_str().len() as u64;
            Limits::check("backing file name", len, layout::MAX_BACKING_NAME_LEN as u64)?;
        }
        Limits::check("L1 table", self.l1_entries() * 8, layout::MAX_L1_LEN).map_err(|e| {
            e.context(format!("a disk of {} bytes needs clusters larger than {}", self.size, self.cluster_len()))
        })
    }
}

/// The virtual size in whole sectors. Rounded up: a reader that counts in sectors would lose the tail.
fn rounded_size(size: u64) -> Result<u64> {
    size.checked_next_multiple_of(SECTOR_LEN)
        .filter(|&size| size <= i64::MAX as u64)
        .ok_or_else(|| Error::invalid(format!("a disk of {size} bytes is too large")))
}

/// log2 of the option `cluster_size`.
fn cluster_bits(options: &Options) -> Result<u32> {
    let len = options.size("cluster_size", 1 << DEFAULT_CLUSTER_BITS)?;
    let bits = len.trailing_zeros();
    if !len.is_power_of_two() || !(layout::MIN_CLUSTER_BITS..=layout::MAX_CLUSTER_BITS).contains(&bits) {
        return Err(Error::invalid(format!("cluster_size is {len}, which is not a power of two from 512 to 2M")));
    }
    Ok(bits)
}

/// log2 of the option `refcount_bits`.
fn refcount_order(options: &Options) -> Result<u32> {
    let words = [("1", 0), ("2", 1), ("4", 2), ("8", 3), ("16", 4), ("32", 5), ("64", 6)];
    options.word("refcount_bits", &words, layout::V2_REFCOUNT_ORDER)
}

/// The option `preallocation`; where nothing is said, every cluster is given a place if all are wanted.
fn preallocation(options: &Options, full_allocation: bool) -> Result<Preallocation> {
    let words = [
        ("off", Preallocation::Off),
        ("metadata", Preallocation::Metadata),
        ("falloc", Preallocation::Falloc),
        ("full", Preallocation::Full),
    ];
    let default = if full_allocation { Preallocation::Full } else { Preallocation::Off };
    options.word("preallocation", &words, default)
}

/// How clusters would be compressed.
fn compression(options: &Options, codec: Codec, cluster_bits: u32) -> Result<Option<Compression>> {
    // A unit that does not shrink by a byte at least is stored as it is.
    let mut compression = Compression::new(codec, (1 << cluster_bits) - 1);
    if let Some(level) = options.number("compression_level")? {
        let levels = Compression::levels(codec);
        let level = i32::try_from(level).ok().filter(|level| levels.contains(level));
        compression.level = Some(level.ok_or_else(|| {
            Error::invalid(format!("compression_level is outside {} to {}", levels.start(), levels.end()))
        })?);
    }
    compression.window_bits = options.word("compression_window", WINDOWS, FULL_WINDOW_BITS)?;
    if compression.window_bits != FULL_WINDOW_BITS && codec != Codec::Deflate {
        return Err(Error::invalid("compression_window is for compression_type=zlib"));
    }
    Ok(Some(compression))
}

/// Refuses options that QEMU has and that cannot be written yet, with a clear message.
fn refuse_later_options(options: &Options) -> Result<()> {
    let later = |name: &&str| {
        matches!(*name, "data_file" | "data_file_raw" | "extended_l2" | "encryption") || name.starts_with("encrypt.")
    };
    match options.names().find(later) {
        Some(name) if options.get(name) != Some("off") => {
            Err(Error::unsupported(format!("images with {name} cannot be written yet")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Options of a new image.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "compat",
        values: "0.10|1.1",
        default: "1.1",
        help: "version of the format: 0.10 (or v2) for QEMU before 1.1, 1.1 (or v3) for any since",
    },
    OptionSpec {
        name: "cluster_size",
        values: "SIZE",
        default: "64k",
        help: "bytes that are allocated as one, a power of two from 512 to 2M",
    },
    OptionSpec { name: "refcount_bits", values: "1|2|4|8|16|32|64", default: "16", help: "width of a reference count" },
    OptionSpec {
        name: "lazy_refcounts",
        values: "on|off",
        default: "off",
        help: "let QEMU write reference counts late, and repair them after a crash",
    },
    OptionSpec {
        name: "compression_type",
        values: "zlib|zstd",
        default: "zlib",
        help: "how compressed clusters are compressed",
    },
    OptionSpec {
        name: "compression_level",
        values: "NUM",
        default: "3",
        help: "1 to 12 for zlib, 1 to 22 for zstd; clusters that are compressed already are compressed anew",
    },
    OptionSpec {
        name: "compression_window",
        values: "512|1k|2k|4k|8k|16k|32k",
        default: "32k",
        help: "window of zlib streams; 4k for readers that insist on QEMU's own",
    },
    OptionSpec {
        name: "preallocation",
        values: "off|metadata|falloc|full",
        default: "off",
        help: "give every cluster its place; falloc takes the space, full writes zeros",
    },
];

/// Words of the option `compression_window`, and log2 of the bytes they mean.
const WINDOWS: &[(&str, u8)] =
    &[("512", 9), ("1k", 10), ("2k", 11), ("4k", 12), ("8k", 13), ("16k", 14), ("32k", FULL_WINDOW_BITS)];
/// log2 of deflate's full window.
const FULL_WINDOW_BITS: u8 = 15;
/// log2 of the cluster length by default, as QEMU's.
const DEFAULT_CLUSTER_BITS: u32 = 16;
/// Bytes of a sector.
const SECTOR_LEN: u64 = 512;
