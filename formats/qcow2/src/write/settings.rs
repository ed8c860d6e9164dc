//! From options to settings that fit together.

use imgfmt_core::codec::{Codec, Compression};
use imgfmt_core::{CreateRequest, Error, Limits, Options, ParentName, Result};

use super::options::OPTIONS;
use crate::cluster::{ClusterBits, L2Layout};
use crate::crypto::EncryptionSettings;
use crate::layout;
use imgfmt_crypt::Random;

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
    /// How guest bytes are encrypted, where they are.
    pub(super) encryption: Option<EncryptionSettings>,
    /// How L2 tables divide the disk.
    pub(super) l2: L2Layout,
    /// The file for guest data, where it is not the image itself.
    pub(super) data_file: Option<DataFile>,
    /// Guest bytes, as far as they are known: whole sectors, since readers count in them.
    pub(super) size: u64,
}

/// The file for guest data.
#[derive(Clone, Debug)]
pub(super) struct DataFile {
    /// Its name, relative to the folder of the image.
    pub(super) name: String,
    /// Whether it alone is the disk.
    pub(super) raw: bool,
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
    /// Settings for `request`, with keys and salts that `random` gives.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for options that the format does not have together.
    pub(super) fn new(request: &CreateRequest<'_>, random: Random) -> Result<Self> {
        request.options.check(OPTIONS)?;
        let options = request.options;
        let version = options.word("compat", &[("0.10", 2), ("v2", 2), ("1.1", 3), ("v3", 3)], 3)?;
        let cluster = cluster_bits(options)?;
        let codec =
            options.word("compression_type", &[("zlib", Codec::Deflate), ("zstd", Codec::Zstd)], Codec::Deflate)?;
        let data_file = data_file(request)?;
        let full = request.full_allocation && !request.compress && request.backing.is_none();
        let settings = Self {
            version,
            cluster_bits: cluster.bits(),
            refcount_order: refcount_order(options, layout::V2_REFCOUNT_ORDER)?,
            lazy_refcounts: options.flag("lazy_refcounts", false)?,
            codec,
            compression: compression(options, codec, cluster.bits())?.filter(|_| request.compress),
            preallocation: preallocation(options, full, data_file.as_ref())?,
            backing: request.backing.map(|backing| backing.name.clone()),
            encryption: EncryptionSettings::new(request, random)?,
            l2: L2Layout::new(cluster, options.flag("extended_l2", false)?),
            data_file,
            size: rounded_size(request.size)?,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Bytes of a cluster.
    pub(super) fn cluster_len(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Entries of the L1 table that cover `size` guest bytes.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) for a table that no reader takes.
    pub(super) fn l1_entries(&self, size: u64) -> Result<u64> {
        let entries = size.div_ceil(1 << self.l2.span_bits());
        Limits::check("L1 table", entries * layout::TABLE_ENTRY_LEN, layout::MAX_L1_LEN).map_err(|e| {
            e.context(format!("a disk of {size} bytes needs clusters larger than {}", self.cluster_len()))
        })?;
        Ok(entries)
    }

    /// Guest bytes that are placed as one: subclusters, unless clusters are compressed.
    pub(super) fn unit_bits(&self) -> u32 {
        if self.compression.is_some() { self.cluster_bits } else { self.l2.grain_bits() }
    }

    /// Checks that the settings fit together.
    fn check(&self) -> Result<()> {
        self.check_version()?;
        if self.l2.extended() && self.cluster_bits < layout::MIN_EXTENDED_CLUSTER_BITS {
            return Err(Error::invalid("extended_l2 needs a cluster_size of 16k or more"));
        }
        self.check_preallocation()?;
        if let Some(data_file) = &self.data_file {
            if self.compression.is_some() {
                return Err(Error::invalid("a data file cannot hold compressed clusters"));
            }
            if data_file.raw && self.encryption.is_some() {
                return Err(Error::invalid(
                    "a raw data file can be read without the image, and so cannot be encrypted",
                ));
            }
            if data_file.raw && self.backing.is_some() {
                return Err(Error::invalid("a raw data file cannot leave anything to a backing file"));
            }
        }
        if let Some(backing) = &self.backing {
            let len = backing.name.as_os_str().len() as u64;
            Limits::check("backing file name", len, layout::MAX_BACKING_NAME_LEN as u64)?;
        }
        self.l1_entries(self.size).map(drop)
    }

    /// Checks that the version has what is asked for.
    fn check_version(&self) -> Result<()> {
        let needs_v3 = [
            (self.lazy_refcounts, "lazy_refcounts"),
            (self.refcount_order != layout::V2_REFCOUNT_ORDER, "refcount_bits other than 16"),
            (self.codec == Codec::Zstd, "compression_type=zstd"),
            (self.l2.extended(), "extended_l2"),
            (self.data_file.is_some(), "data_file"),
        ];
        match needs_v3.iter().find(|(used, _)| *used && self.version < 3) {
            Some((_, what)) => Err(Error::invalid(format!("{what} needs compat=1.1"))),
            None => Ok(()),
        }
    }

    /// Checks that every cluster can be given a place, if that is asked for.
    fn check_preallocation(&self) -> Result<()> {
        if self.preallocation == Preallocation::Off {
            return Ok(());
        }
        if self.compression.is_some() {
            return Err(Error::invalid("preallocation and compression exclude each other"));
        }
        if self.backing.is_some() && !self.l2.extended() {
            return Err(Error::invalid("preallocation would hide the backing file, unless extended_l2=on"));
        }
        Ok(())
    }
}

/// The virtual size in whole sectors. Rounded up: a reader that counts in sectors would lose the tail.
pub(super) fn rounded_size(size: u64) -> Result<u64> {
    size.checked_next_multiple_of(SECTOR_LEN)
        .filter(|&size| size <= i64::MAX as u64)
        .ok_or_else(|| Error::invalid(format!("a disk of {size} bytes is too large")))
}

/// log2 of the option `cluster_size`.
fn cluster_bits(options: &Options) -> Result<ClusterBits> {
    let len = options.size("cluster_size", 1 << DEFAULT_CLUSTER_BITS)?;
    let bits = ClusterBits::new(len.trailing_zeros()).filter(|_| len.is_power_of_two());
    bits.ok_or_else(|| Error::invalid(format!("cluster_size is {len}, which is not a power of two from 512 to 2M")))
}

/// The options `data_file` and `data_file_raw`.
fn data_file(request: &CreateRequest<'_>) -> Result<Option<DataFile>> {
    let raw = request.options.flag("data_file_raw", false)?;
    let Some(name) = request.options.get("data_file").filter(|name| !name.is_empty()) else {
        return if raw { Err(Error::invalid("data_file_raw needs data_file")) } else { Ok(None) };
    };
    Limits::check("data file name", name.len() as u64, layout::MAX_BACKING_NAME_LEN as u64)?;
    if name.contains('\0') {
        return Err(Error::invalid("the name of the data file holds a NUL byte"));
    }
    if request.file_name.is_some_and(|file| file == name) {
        return Err(Error::invalid(format!("{name} cannot be both the image and its data file")));
    }
    Ok(Some(DataFile { name: name.to_owned(), raw }))
}

/// log2 of the option `refcount_bits`; `default` where it is not said.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for other widths than there are.
pub(crate) fn refcount_order(options: &Options, default: u32) -> Result<u32> {
    let words = [("1", 0), ("2", 1), ("4", 2), ("8", 3), ("16", 4), ("32", 5), ("64", 6)];
    options.word("refcount_bits", &words, default)
}

/// The option `preallocation`; where nothing is said, every cluster is given a place if all are wanted.
fn preallocation(options: &Options, full_allocation: bool, data_file: Option<&DataFile>) -> Result<Preallocation> {
    let words = [
        ("off", Preallocation::Off),
        ("metadata", Preallocation::Metadata),
        ("falloc", Preallocation::Falloc),
        ("full", Preallocation::Full),
    ];
    let default = if full_allocation { Preallocation::Full } else { Preallocation::Off };
    let asked = options.word("preallocation", &words, default)?;
    // A disk that can be read without the image has no cluster that the image knows nothing of.
    let least = if data_file.is_some_and(|file| file.raw) { Preallocation::Metadata } else { Preallocation::Off };
    Ok(if asked == Preallocation::Off { least } else { asked })
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

/// Words of the option `compression_window`, and log2 of the bytes they mean.
const WINDOWS: &[(&str, u8)] =
    &[("512", 9), ("1k", 10), ("2k", 11), ("4k", 12), ("8k", 13), ("16k", 14), ("32k", FULL_WINDOW_BITS)];
/// log2 of deflate's full window.
const FULL_WINDOW_BITS: u8 = 15;
/// log2 of the cluster length by default, as QEMU's.
const DEFAULT_CLUSTER_BITS: u32 = 16;
/// Bytes of a sector.
const SECTOR_LEN: u64 = 512;
