//! Options that can be changed once an image exists.

use std::sync::Arc;

use imgfmt_core::{Amend, AmendRequest, Error, Medium, OpenContext, OptionSpec, Options, Preallocation, Result};
use imgfmt_crypt::{KeySlots, SlotChange, random};

use super::disk::Disk;
use super::table::Row;
use crate::Qcow2;
use crate::crypto::{CryptMethod, options as crypt};
use crate::layout::{
    AUTOCLEAR_DATA_FILE_RAW, AUTOCLEAR_FEATURES_AT, COMPATIBLE_FEATURES_AT, COMPATIBLE_LAZY_REFCOUNTS, HeaderExtension,
    V2_REFCOUNT_ORDER, VERSION_2, VERSION_3,
};
use crate::write::refcount_order;

impl Amend for Qcow2 {
    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    fn amend(&self, medium: Arc<dyn Medium>, request: &AmendRequest<'_>, context: &OpenContext<'_>) -> Result<()> {
        let options = request.options;
        if let Some(name) = options.names().find(|name| name.starts_with("backing_")) {
            return Err(Error::invalid(format!("{name} cannot be amended; use rebase to change the backing file")));
        }
        options.check(OPTIONS)?;
        let slots = SlotChange::parse(options, crypt::PREFIX, context.secrets)?;
        let mut disk = Disk::open(Arc::clone(&medium), context)?;
        disk.parent_size = request.parent_size.unwrap_or(u64::MAX);
        let wanted = Wanted::parse(&disk, options)?;
        wanted.check(&mut disk)?;
        let mut keys = match slots {
            Some(_) => Some(key_slots(disk.header.crypt, medium.as_ref())?),
            None => None,
        };
        let secret = || crypt::secret(context)?.ok_or_else(crypt::no_secret);
        let plan =
            keys.as_ref().zip(slots).map(|(keys, change)| keys.plan(&change, request.force, &secret)).transpose()?;
        // Bitmaps that record need not hear of it: no option changes what the guest reads, and a new size they follow.
        disk.drop_unknown_features()?;
        wanted.apply(&mut disk)?;
        keys.as_mut().zip(plan).map_or(Ok(()), |(keys, plan)| keys.apply(&plan))
    }
}

/// The key slots of an image that is encrypted as `method` says.
fn key_slots(method: CryptMethod, medium: &dyn Medium) -> Result<KeySlots<'_>> {
    match method {
        CryptMethod::Luks { offset, len } => KeySlots::open(medium, offset, len, random::from_system),
        _ => Err(Error::invalid("only an image that is encrypted with luks has key slots")),
    }
}

/// What is to be changed.
struct Wanted {
    /// The version.
    version: u32,
    /// Whether refcounts may be written late.
    lazy_refcounts: bool,
    /// log2 of the bits of a refcount.
    refcount_order: u32,
    /// Guest bytes of the disk.
    size: u64,
    /// The name of the data file.
    data_file: Option<String>,
    /// Whether the data file can be read without the image.
    data_file_raw: bool,
}

impl Wanted {
    /// What `options` ask for; what they do not name stays.
    fn parse(disk: &Disk<'_>, options: &Options) -> Result<Self> {
        let header = &disk.header;
        let versions = [("0.10", VERSION_2), ("v2", VERSION_2), ("1.1", VERSION_3), ("v3", VERSION_3)];
        let version = options.word("compat", &versions, header.version)?;
        let lazy_refcounts =
            options.flag("lazy_refcounts", header.features.lazy_refcounts() && version != VERSION_2)?;
        Ok(Self {
            version,
            lazy_refcounts,
            refcount_order: refcount_order(options, header.refcount_order)?,
            size: options.size("size", disk.size)?,
            data_file: options.get("data_file").map(str::to_owned),
            data_file_raw: options.flag("data_file_raw", header.features.data_file_raw())?,
        })
    }

    /// Refuses what the image cannot be.
    fn check(&self, disk: &mut Disk<'_>) -> Result<()> {
        let header = &disk.header;
        if self.version == VERSION_2 {
            if self.lazy_refcounts {
                return Err(Error::invalid("lazy_refcounts=on needs compat=1.1"));
            }
            if self.refcount_order != V2_REFCOUNT_ORDER {
                return Err(Error::invalid("refcount_bits other than 16 needs compat=1.1"));
            }
            if header.features.incompatible != 0 || header.crypt.is_luks() || !disk.record.is_empty() {
                let what = "the image uses what compat=0.10 does not have: a data file, extended L2 entries, zstd, LUKS or bitmaps";
                return Err(Error::invalid(what));
            }
            let misled = |row: &Row| row.of_version_2(self.size).is_none();
            if header.version != VERSION_2 && disk.snapshots()?.iter().any(misled) {
                let what = "an internal snapshot is of a disk of another size, or has 4 GiB of VM state or more: compat=0.10 cannot \
                            say that; delete it first";
                return Err(Error::invalid(what));
            }
        }
        if self.data_file.is_some() && !header.features.data_file() {
            return Err(Error::invalid("the image has no data file, and cannot get one; convert it"));
        }
        if self.data_file.as_ref().is_some_and(|name| name.is_empty() || name.contains('\0')) {
            return Err(Error::invalid("the name of the data file is empty or holds a NUL byte"));
        }
        if self.data_file_raw && !header.features.data_file_raw() {
            return Err(Error::invalid("data_file_raw cannot be switched on for an image that exists"));
        }
        disk.check_resize(self.size, self.version.max(header.version))?;
        if self.refcount_order != header.refcount_order {
            disk.check_width(self.refcount_order)?;
        }
        disk.check_end(self.size)
    }

    /// Makes the image so. It becomes one of version 3 first, and one of version 2 last, for that can do less.
    fn apply(&self, disk: &mut Disk<'_>) -> Result<()> {
        if self.version > disk.header.version {
            disk.complete_snapshots()?;
            disk.set_version(self.version)?;
        }
        if self.size != disk.size {
            disk.resize(self.size, Preallocation::Off)?;
        }
        disk.flush()?;
        if self.refcount_order != disk.header.refcount_order {
            disk.change_width(self.refcount_order)?;
        }
        if let Some(name) = &self.data_file {
            disk.head.set_extension(HeaderExtension::DATA_FILE, Some(name.as_bytes().to_vec()));
        }
        if disk.header.version != VERSION_2 {
            self.put_features(disk);
        }
        disk.head.rewrite(disk.medium.as_ref())?;
        if self.version < disk.header.version {
            disk.without_zero_clusters()?;
            disk.shorten_snapshots()?;
            disk.set_version(self.version)?;
        }
        Ok(())
    }

    /// Sets and clears feature bits, in memory.
    fn put_features(&self, disk: &mut Disk<'_>) {
        let lazy = if self.lazy_refcounts { COMPATIBLE_LAZY_REFCOUNTS } else { 0 };
        let compatible = disk.head.get64(COMPATIBLE_FEATURES_AT) & !COMPATIBLE_LAZY_REFCOUNTS | lazy;
        disk.head.put64(COMPATIBLE_FEATURES_AT, compatible);
        if !self.data_file_raw {
            let autoclear = disk.head.get64(AUTOCLEAR_FEATURES_AT) & !AUTOCLEAR_DATA_FILE_RAW;
            disk.head.put64(AUTOCLEAR_FEATURES_AT, autoclear);
        }
    }
}

/// The options.
const OPTIONS: &[OptionSpec] = &[
    OptionSpec { name: "compat", values: "0.10|1.1", default: "", help: "version of the image" },
    OptionSpec {
        name: "lazy_refcounts",
        values: "on|off",
        default: "",
        help: "whether refcounts may be written late; needs compat=1.1",
    },
    OptionSpec {
        name: "refcount_bits",
        values: "1|2|4|8|16|32|64",
        default: "",
        help: "width of a refcount; other than 16 needs compat=1.1",
    },
    OptionSpec { name: "size", values: "SIZE", default: "", help: "guest bytes of the disk" },
    OptionSpec {
        name: "data_file",
        values: "FILE",
        default: "",
        help: "another name of the data file, which is not moved",
    },
    OptionSpec {
        name: "data_file_raw",
        values: "on|off",
        default: "",
        help: "off: the data file is not kept readable alone",
    },
    crypt::STATE,
    crypt::NEW_SECRET,
    crypt::OLD_SECRET,
    crypt::KEYSLOT,
    crypt::ITER_TIME,
    crypt::ITERATIONS,
];
