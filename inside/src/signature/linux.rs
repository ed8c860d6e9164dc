//! What Linux puts on disks most often.

use super::Volume;
use crate::bytes::{be16, be32, be64, has, le16, le32, le64, text, uuid};
use crate::found::{Class, Signature};

/// ext2, ext3 and ext4: the superblock at 1024. Linux, `Documentation/filesystems/ext4/super.rst`.
pub(super) fn ext(volume: &Volume<'_>) -> Option<Signature> {
    let block = volume.head().get(1024..2048)?;
    let log_block = le32(block, 24);
    if le16(block, 56) != 0xef53 || log_block > 6 {
        return None;
    }
    let (compat, incompat, ro_compat) = (le32(block, 92), le32(block, 96), le32(block, 100));
    let kind = if incompat & EXT_JOURNAL_DEVICE != 0 {
        "jbd"
    } else if incompat & !EXT3_INCOMPAT != 0 || ro_compat & !EXT3_RO_COMPAT != 0 {
        "ext4"
    } else if compat & EXT_HAS_JOURNAL != 0 {
        "ext3"
    } else {
        "ext2"
    };
    let high = if incompat & EXT_64BIT == 0 { 0 } else { u64::from(le32(block, 0x150)) << 32 };
    let found =
        Signature::new(kind, Class::FileSystem, 1024 + 56).version(format!("{}.{}", le32(block, 76), le16(block, 62)));
    Some(
        found
            .label(text(block, 120, 16))
            .uuid(uuid(block, 104))
            .blocks(1024 << log_block, high | u64::from(le32(block, 4))),
    )
}

/// XFS: the superblock at 0. "XFS Algorithms & Data Structures", 13.1.
pub(super) fn xfs(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let block_len = be32(head, 4);
    if !has(head, 0, b"XFSB") || !block_len.is_power_of_two() || !(512..=65_536).contains(&block_len) {
        return None;
    }
    let found = Signature::new("xfs", Class::FileSystem, 0).version(be16(head, 100) & 0xf);
    Some(found.label(text(head, 108, 12)).uuid(uuid(head, 32)).blocks(block_len.into(), be64(head, 8)))
}

/// Btrfs: the superblock at 64 KiB. Btrfs, "On-disk Format".
pub(super) fn btrfs(volume: &Volume<'_>) -> Option<Signature> {
    let block = volume.head().get(65_536..)?;
    if !has(block, 64, b"_BHRfS_M") {
        return None;
    }
    let found =
        Signature::new("btrfs", Class::FileSystem, 65_536 + 64).label(text(block, 299, 256)).uuid(uuid(block, 32));
    // Of all devices that a file system lies on, this is what the one here has.
    Some(Signature { block_len: Some(le32(block, 144).into()), len: Some(le64(block, BTRFS_DEVICE_AT + 8)), ..found })
}

/// Swap: the magic number at the end of the first page, whatever its length. Linux, `include/linux/swap.h`.
pub(super) fn swap(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let page = PAGE_LENS.into_iter().find(|page| SWAP_MAGICS.iter().any(|magic| has(head, page - 10, magic)))?;
    let new = has(head, page - 10, SWAP_MAGICS[0]);
    let found = Signature::new("swap", Class::Swap, page as u64 - 10).version(u8::from(new));
    if !new {
        return Some(found);
    }
    let found = found.label(text(head, 1024 + 28, 16)).uuid(uuid(head, 1024 + 12));
    Some(found.blocks(page as u64, u64::from(le32(head, 1024 + 4)) + 1))
}

/// LUKS 1 and 2: the header at 0. "LUKS On-Disk Format Specification" 1.2.3; "LUKS2 On-Disk Format Specification" 1.1.1.
pub(super) fn luks(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let version = be16(head, 6);
    if !has(head, 0, b"LUKS\xba\xbe") || !(1..=2).contains(&version) {
        return None;
    }
    let found = Signature::new("luks", Class::Encryption, 0).version(version);
    let found = found.uuid(Some(text(head, 168, 40)).filter(|uuid| !uuid.is_empty()));
    Some(if version == 2 { found.label(text(head, 24, 48)) } else { found })
}

/// A physical volume of LVM 2: a label in one of the first four sectors. LVM 2, `lib/format_text/layout.h`.
pub(super) fn lvm(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let at =
        (0..4).map(|sector| sector * 512).find(|&at| has(head, at, b"LABELONE") && has(head, at + 24, b"LVM2 001"))?;
    let header = at.checked_add(usize::try_from(le32(head, at + 20)).ok()?)?;
    let id = text(head, header, 32);
    let groups = [0..6, 6..10, 10..14, 14..18, 18..22, 22..26, 26..32];
    let parts: Option<Vec<_>> = groups.into_iter().map(|group| id.get(group)).collect();
    let found = Signature::new("lvm2", Class::Volume, at as u64).uuid(parts.map(|parts| parts.join("-")));
    Some(Signature { len: Some(le64(head, header.saturating_add(32))), ..found })
}

/// Position of the item of this device in a superblock of Btrfs.
const BTRFS_DEVICE_AT: usize = 201;
/// The compatible feature of a journal.
const EXT_HAS_JOURNAL: u32 = 0x4;
/// The incompatible feature of a device that is only a journal.
const EXT_JOURNAL_DEVICE: u32 = 0x8;
/// The incompatible feature of numbers of blocks with 64 bits.
const EXT_64BIT: u32 = 0x80;
/// Incompatible features that ext3 knows: types in directories, recovery, meta block groups.
const EXT3_INCOMPAT: u32 = 0x2 | 0x4 | 0x10;
/// Features for writers that ext3 knows: sparse superblocks, large files, B-trees in directories.
const EXT3_RO_COMPAT: u32 = 0x1 | 0x2 | 0x4;
/// Lengths of pages.
const PAGE_LENS: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];
/// Magic numbers of swap, new and old.
const SWAP_MAGICS: [&[u8]; 2] = [b"SWAPSPACE2", b"SWAP-SPACE"];
