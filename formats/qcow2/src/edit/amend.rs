//! Options that can be changed once an image exists.

use std::sync::Arc;

use imgfmt_core::{Amend, Erase, Error, Medium, OpenContext, OptionSpec, Options, Preallocation, Result};

use super::disk::Disk;
use crate::Qcow2;
use crate::crypto::{KeySlots, SlotChange, options as crypt, random};
use crate::entry::Entry;
use crate::extended::Extended;
use crate::layout::{
    AUTOCLEAR_DATA_FILE_RAW, AUTOCLEAR_FEATURES_AT, COMPATIBLE_FEATURES_AT, COMPATIBLE_LAZY_REFCOUNTS, HeaderExtension,
    OFFSET_MASK, V2_REFCOUNT_ORDER, VERSION_2, VERSION_3,
};
use crate::write::refcount_order;

impl Amend for Qcow2 {
    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    fn amend(&self, medium: Arc<dyn Medium>, options: &Options, force: bool, context: &OpenContext<'_>) -> Result<()> {
        if let Some(name) = options.names().find(|name| name.starts_with("backing_")) {
            return Err(Error::invalid(format!("{name} cannot be amended; use rebase to change the backing file")));
        }
        options.check(OPTIONS)?;
        let slots = SlotChange::parse(options, context.secrets)?;
        let mut disk = Disk::open(Arc::clone(&medium), context)?;
        let wanted = Wanted::parse(&disk, options)?;
        wanted.check(&disk)?;
        let mut keys = match slots {
            Some(_) => Some(KeySlots::open(disk.header.crypt, medium.as_ref(), random::from_system)?),
            None => None,
        };
        let plan = keys.as_ref().zip(slots).map(|(keys, change)| keys.plan(&change, force, context)).transpose()?;
        // Bitmaps that record need not hear of it: no option changes what the guest reads, and a new size they follow.
        disk.drop_unknown_features()?;
        wanted.apply(&mut disk)?;
        keys.as_mut().zip(plan).map_or(Ok(()), |(keys, plan)| keys.apply(&plan))
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
    fn check(&self, disk: &Disk<'_>) -> Result<()> {
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
            if header.nb_snapshots > 0 && header.version != VERSION_2 {
                return Err(Error::unsupported(
                    "an image with internal snapshots stays at compat=1.1; delete them first",
                ));
            }
        }
        if self.version != header.version && header.nb_snapshots > 0 {
            return Err(Error::unsupported("the version of an image with internal snapshots stays; delete them first"));
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
        disk.check_resize(self.size)?;
        if self.refcount_order != header.refcount_order { disk.check_width(self.refcount_order) } else { Ok(()) }
    }

    /// Makes the image so.
    fn apply(&self, disk: &mut Disk<'_>) -> Result<()> {
        if self.size != disk.size {
            disk.resize(self.size, Preallocation::Off)?;
        }
        if self.version == VERSION_2 && disk.header.version != VERSION_2 {
            disk.without_zero_clusters()?;
        }
        disk.flush()?;
        // What version 2 does not have goes before the image becomes one, and comes once it is none.
        let before = disk.header.version != VERSION_2;
        if before {
            self.apply_width(disk)?;
        }
        if let Some(name) = &self.data_file {
            disk.head.set_extension(HeaderExtension::DATA_FILE, Some(name.as_bytes().to_vec()));
        }
        if self.version != disk.header.version {
            disk.head.set_version(self.version);
            disk.header.version = self.version;
        }
        if self.version != VERSION_2 {
            let lazy = if self.lazy_refcounts { COMPATIBLE_LAZY_REFCOUNTS } else { 0 };
            let compatible = disk.head.get64(COMPATIBLE_FEATURES_AT) & !COMPATIBLE_LAZY_REFCOUNTS | lazy;
            disk.head.put64(COMPATIBLE_FEATURES_AT, compatible);
            if !self.data_file_raw {
                let autoclear = disk.head.get64(AUTOCLEAR_FEATURES_AT) & !AUTOCLEAR_DATA_FILE_RAW;
                disk.head.put64(AUTOCLEAR_FEATURES_AT, autoclear);
            }
        }
        disk.head.rewrite(disk.medium.as_ref())?;
        if before { Ok(()) } else { self.apply_width(disk) }
    }

    /// Makes refcounts as wide as they are wanted.
    fn apply_width(&self, disk: &mut Disk<'_>) -> Result<()> {
        if self.refcount_order == disk.header.refcount_order { Ok(()) } else { disk.change_width(self.refcount_order) }
    }
}

impl Disk<'_> {
    /// Makes every zero cluster one that version 2 has: absent where there is no parent, else stored.
    fn without_zero_clusters(&mut self) -> Result<()> {
        let unit = self.cluster().len();
        for index in 0..self.l1.len() {
            if self.l1[index] & OFFSET_MASK == 0 {
                continue;
            }
            let bits = self.header.l2.span_bits();
            let mut guest = (index as u64) << bits;
            let end = ((index as u64 + 1) << bits).min(self.size);
            while guest < end {
                let stop = (guest + unit).min(end);
                let words = self.words(guest)?;
                if self.decode(words)? == Extended::Whole(Entry::Zero) {
                    if self.has_parent {
                        self.write(&vec![0; usize::try_from(stop - guest).unwrap_or(0)], guest)?;
                    } else {
                        self.erase(guest..stop, Erase::Absent)?;
                    }
                }
                guest = stop;
            }
        }
        Ok(())
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
