//! The metadata table and its items: what the disk is like.

use std::ops::Range;

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};
use uuid::Uuid;

use crate::fields::{guid_at, u16_at, u32_at, u64_at};
use crate::layout::{
    ENTRY_LEN, FILE_PARAMETERS, HAS_PARENT, IS_REQUIRED, IS_USER, ITEM_FLAGS_AT, ITEM_LENGTH_AT, ITEM_OFFSET_AT,
    LEAVE_BLOCKS_ALLOCATED, LOGICAL_SECTOR_SIZE, MAX_BLOCK_LEN, MAX_DISK_LEN, MAX_ENTRIES, MAX_ITEM_LEN,
    METADATA_COUNT_AT, METADATA_ENTRIES_AT, METADATA_SIGNATURE, METADATA_TABLE_LEN, MIN_BLOCK_LEN, PARENT_LOCATOR,
    PHYSICAL_SECTOR_SIZE, VIRTUAL_DISK_ID, VIRTUAL_DISK_SIZE,
};
use crate::locator::Locator;

/// What the metadata says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Bytes of a block: a power of two.
    pub(crate) block_len: u64,
    /// Whether blocks stay allocated: the disk is of the fixed kind.
    pub(crate) leave_blocks_allocated: bool,
    /// Guest bytes.
    pub(crate) size: u64,
    /// Bytes of a sector as the guest addresses it: 512 or 4096.
    pub(crate) sector_len: u64,
    /// Bytes of a sector as the guest should write it, where the file says so.
    pub(crate) physical_sector_len: Option<u32>,
    /// The disk's identifier, where it has one.
    pub(crate) disk_id: Option<Uuid>,
    /// Where the parent is, of a differencing disk.
    pub(crate) parent: Option<Locator>,
    /// Items that nobody here knows, and nobody has to.
    pub(crate) unknown: Vec<Uuid>,
}

/// An entry of the metadata table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// Which item.
    pub(crate) id: Uuid,
    /// Its first byte, from the start of the region.
    pub(crate) offset: u32,
    /// Its bytes.
    pub(crate) len: u32,
    /// Its flags.
    flags: u32,
    /// Host byte of the entry.
    pub(crate) at: u64,
}

impl Item {
    /// Whether it is a user's: those are in a name space of their own, and nothing here looks for one.
    pub(crate) fn is_user(&self) -> bool {
        self.flags & IS_USER != 0
    }

    /// Its bytes, from the start of the region.
    pub(crate) fn range(&self) -> Range<u64> {
        u64::from(self.offset)..u64::from(self.offset) + u64::from(self.len)
    }
}

impl Metadata {
    /// Reads the metadata in `region`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where a rule is broken or an item is missing,
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for an item that is required and not known,
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file ends before.
    pub(crate) fn read(storage: &dyn Storage, region: &Range<u64>, limits: &Limits) -> Result<Self> {
        let table = storage.read_vec(region.start, METADATA_TABLE_LEN)?;
        let items = Items::new(storage, parse_table(&table, region)?, region);
        let (block_len, flags) = items.file_parameters()?;
        let sector_len = items.logical_sector_size()?;
        let parent = if flags & HAS_PARENT == 0 { None } else { Some(items.parent_locator(limits)?) };
        Ok(Self {
            block_len,
            leave_blocks_allocated: flags & LEAVE_BLOCKS_ALLOCATED != 0,
            size: items.virtual_disk_size(sector_len)?,
            sector_len,
            physical_sector_len: items.fixed::<4>(PHYSICAL_SECTOR_SIZE)?.map(|(bytes, _)| u32_at(&bytes, 0)),
            disk_id: items.fixed::<16>(VIRTUAL_DISK_ID)?.map(|(bytes, _)| guid_at(&bytes, 0)),
            parent,
            unknown: items.items.iter().map(|item| item.id).filter(|id| !KNOWN.contains(id)).collect(),
        })
    }
}

/// The items of a file.
pub(crate) struct Items<'a> {
    /// Entries, in the order of the table.
    items: Vec<Item>,
    /// Host bytes of the region.
    region: &'a Range<u64>,
    /// The file.
    storage: &'a dyn Storage,
}

impl<'a> Items<'a> {
    /// The items of `storage` in `region`, which are none of a user's.
    pub(crate) fn new(storage: &'a dyn Storage, items: Vec<Item>, region: &'a Range<u64>) -> Self {
        Self { items, region, storage }
    }

    /// An item of `N` bytes and its host byte; nothing where it is not there.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for another length, as the others here where a rule is broken.
    pub(crate) fn fixed<const N: usize>(&self, id: Uuid) -> Result<Option<([u8; N], u64)>> {
        let Some(item) = self.items.iter().find(|item| item.id == id) else { return Ok(None) };
        if item.len as usize != N {
            let what = format!("is {} for {}, which has {N} bytes", item.len, name(id));
            return Err(Error::malformed(what).field("Length").at(item.at + ITEM_LENGTH_AT as u64));
        }
        let host = self.region.start + u64::from(item.offset);
        Ok(Some((self.storage.read_array(host)?, host)))
    }

    /// An item of `N` bytes that has to be there.
    fn needed<const N: usize>(&self, id: Uuid) -> Result<([u8; N], u64)> {
        self.fixed(id)?.ok_or_else(|| missing(id, self.region))
    }

    /// The block size and the flags.
    ///
    /// # Errors
    ///
    /// As [`fixed`](Self::fixed), and where it is missing.
    pub(crate) fn file_parameters(&self) -> Result<(u64, u32)> {
        let (bytes, at) = self.needed::<8>(FILE_PARAMETERS)?;
        let block_len = u64::from(u32_at(&bytes, 0));
        if !block_len.is_power_of_two() || !(MIN_BLOCK_LEN..=MAX_BLOCK_LEN).contains(&block_len) {
            let what = format!("is {block_len}, which is no power of two from 1 MiB to 256 MiB");
            return Err(Error::malformed(what).field("BlockSize").at(at));
        }
        Ok((block_len, u32_at(&bytes, 4)))
    }

    /// The bytes of a sector.
    ///
    /// # Errors
    ///
    /// As [`fixed`](Self::fixed), and where it is missing.
    pub(crate) fn logical_sector_size(&self) -> Result<u64> {
        let (bytes, at) = self.needed::<4>(LOGICAL_SECTOR_SIZE)?;
        match u32_at(&bytes, 0) {
            len @ (512 | 4096) => Ok(u64::from(len)),
            other => {
                let what = format!("is {other}, neither 512 nor 4096");
                Err(Error::malformed(what).field("LogicalSectorSize").at(at))
            }
        }
    }

    /// The guest bytes.
    ///
    /// # Errors
    ///
    /// As [`fixed`](Self::fixed), and where it is missing.
    pub(crate) fn virtual_disk_size(&self, sector_len: u64) -> Result<u64> {
        let (bytes, at) = self.needed::<8>(VIRTUAL_DISK_SIZE)?;
        let size = u64_at(&bytes, 0);
        let wrong = |what: String| Err(Error::malformed(what).field("VirtualDiskSize").at(at));
        if size > MAX_DISK_LEN {
            return wrong(format!("is {size}, above 64 TiB"));
        }
        if !size.is_multiple_of(sector_len) {
            return wrong(format!("is {size}, which is no multiple of the sector of {sector_len} bytes"));
        }
        Ok(size)
    }

    /// Where the parent is.
    ///
    /// # Errors
    ///
    /// As [`fixed`](Self::fixed), and where it is missing.
    pub(crate) fn parent_locator(&self, limits: &Limits) -> Result<Locator> {
        let item = self.items.iter().find(|item| item.id == PARENT_LOCATOR);
        let item = item.ok_or_else(|| missing(PARENT_LOCATOR, self.region))?;
        let len = limits.table_len("parent locator", 1, u64::from(item.len))?;
        let host = self.region.start + u64::from(item.offset);
        Locator::parse(&self.storage.read_vec(host, len)?, limits).map_err(|e| e.at(host))
    }
}

/// The entries of the table at the start of `region`, whatever they say.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is no table.
pub(crate) fn entries(table: &[u8], region: &Range<u64>) -> Result<Vec<Item>> {
    if !table.starts_with(&METADATA_SIGNATURE) {
        let what = format!("is \"{}\", not \"metadata\"", table[..8].escape_ascii());
        return Err(Error::malformed(what).field("Signature").at(region.start));
    }
    let count = usize::from(u16_at(table, METADATA_COUNT_AT));
    if count > MAX_ENTRIES {
        let what = format!("is {count}, above {MAX_ENTRIES}");
        return Err(Error::malformed(what).field("EntryCount").at(region.start + METADATA_COUNT_AT as u64));
    }
    let entries = table[METADATA_ENTRIES_AT..].chunks_exact(ENTRY_LEN).take(count).enumerate();
    let parse = |(index, entry): (usize, &[u8])| Item {
        id: guid_at(entry, 0),
        offset: u32_at(entry, ITEM_OFFSET_AT),
        len: u32_at(entry, ITEM_LENGTH_AT),
        flags: u32_at(entry, ITEM_FLAGS_AT),
        at: region.start + (METADATA_ENTRIES_AT + index * ENTRY_LEN) as u64,
    };
    Ok(entries.map(parse).collect())
}

/// Parses the table at the start of `region`.
fn parse_table(table: &[u8], region: &Range<u64>) -> Result<Vec<Item>> {
    let mut items = entries(table, region)?;
    items.iter().try_for_each(|item| check_item(item, region.end - region.start))?;
    items.retain(|item| !item.is_user());
    match twice(&items) {
        Some(id) => Err(Error::malformed(format!("{} is there twice", name(id))).at(region.start)),
        None => Ok(items),
    }
}

/// An item that is there twice.
pub(crate) fn twice(items: &[Item]) -> Option<Uuid> {
    let mut ids: Vec<_> = items.iter().map(|item| item.id).collect();
    ids.sort_unstable();
    ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// Checks an entry of the metadata table of a region of `region_len` bytes.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where a rule is broken,
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for an item that is required and not known.
pub(crate) fn check_item(item: &Item, region_len: u64) -> Result<()> {
    let known = !item.is_user() && KNOWN.contains(&item.id);
    if item.flags & IS_REQUIRED != 0 && !known {
        return Err(Error::unsupported(format!("{} is required, and not known", item.id)).field("ItemId").at(item.at));
    }
    let end = item.range().end;
    let empty = item.len == 0 && item.offset == 0;
    if !empty && ((item.offset as usize) < METADATA_TABLE_LEN || end > region_len || item.len > MAX_ITEM_LEN) {
        let what = format!("is {}, of an item of {} bytes in a region of {region_len}", item.offset, item.len);
        return Err(Error::malformed(what).field("Offset").at(item.at + ITEM_OFFSET_AT as u64));
    }
    Ok(())
}

/// What an item is called.
pub(crate) fn name(id: Uuid) -> String {
    let known = match id {
        FILE_PARAMETERS => "the item File Parameters",
        VIRTUAL_DISK_SIZE => "the item Virtual Disk Size",
        VIRTUAL_DISK_ID => "the item Virtual Disk ID",
        LOGICAL_SECTOR_SIZE => "the item Logical Sector Size",
        PHYSICAL_SECTOR_SIZE => "the item Physical Sector Size",
        PARENT_LOCATOR => "the item Parent Locator",
        other => return format!("the item {other}"),
    };
    known.to_owned()
}

/// The error for an item that is not there.
fn missing(id: Uuid, region: &Range<u64>) -> Error {
    Error::malformed(format!("{} is missing from the metadata table", name(id))).at(region.start)
}

/// The items that are known.
const KNOWN: [Uuid; 6] =
    [FILE_PARAMETERS, VIRTUAL_DISK_SIZE, VIRTUAL_DISK_ID, LOGICAL_SECTOR_SIZE, PHYSICAL_SECTOR_SIZE, PARENT_LOCATOR];
