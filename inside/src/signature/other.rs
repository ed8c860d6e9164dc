//! Discs, BSD and VMware.

use super::Volume;
use crate::bytes::{be32, dstring, has, le16, le32, text, uuid};
use crate::found::{Class, Signature};

/// ISO 9660: the primary volume descriptor. ECMA-119, 8.4.
pub(super) fn iso9660(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let at = (16..24).map(|sector| sector * 2048).find(|&at| has(head, at, b"\x01CD001\x01"))?;
    let block = &head[at..];
    let found = Signature::new("iso9660", Class::FileSystem, at as u64 + 1).label(text(block, 40, 32));
    Some(found.blocks(le16(block, 128).into(), le32(block, 80).into()))
}

/// UDF: its volume recognition sequence, and the name of its logical volume. ECMA-167, 2/9, 3/10.2 and 3/10.6.
pub(super) fn udf(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let marks = (16..32).map(|sector| sector * 2048 + 1);
    let begins = marks.clone().any(|at| has(head, at, b"BEA01"));
    let at = marks.clone().find(|&at| has(head, at, b"NSR02") || has(head, at, b"NSR03"))?;
    let found = begins.then(|| Signature::new("udf", Class::FileSystem, at as u64).version(text(head, at, 5)))?;
    let Some((logical, block_len)) = udf_logical_volume(volume) else { return Some(found) };
    Some(Signature { block_len: Some(block_len), ..found.label(dstring(&logical, 84, 128)) })
}

/// The descriptor of the logical volume of UDF, by way of the anchor in block 256; and the length of a block.
fn udf_logical_volume(volume: &Volume<'_>) -> Option<(Vec<u8>, u64)> {
    let descriptor = |block_len: u64, block: u64| {
        let bytes = volume.read(block.checked_mul(block_len)?, 512)?;
        (u64::from(le32(&bytes, 12)) == block).then_some(bytes)
    };
    let is_anchor = |bytes: &Vec<u8>| le16(bytes, 0) == UDF_ANCHOR;
    let (anchor, block_len) = UDF_BLOCKS
        .into_iter()
        .find_map(|block_len| Some((descriptor(block_len, 256).filter(is_anchor)?, block_len)))?;
    let first = u64::from(le32(&anchor, 20));
    let mut blocks = (first..first + UDF_MAX_BLOCKS).map_while(|block| descriptor(block_len, block));
    Some((blocks.find(|bytes| le16(bytes, 0) == UDF_LOGICAL_VOLUME)?, block_len))
}

/// UFS 1 and 2: the superblock at 8, 64 or 256 KiB, in either order of bytes. FreeBSD, `sys/ufs/ffs/fs.h`.
pub(super) fn ufs(volume: &Volume<'_>) -> Option<Signature> {
    for block in [8192, 65_536, 262_144] {
        let at = block + 1372;
        let Some(magic) = volume.read(at, 4) else { continue };
        let kind = match (le32(&magic, 0), be32(&magic, 0)) {
            (UFS1, _) | (_, UFS1) => "ufs1",
            (UFS2, _) | (_, UFS2) => "ufs2",
            _ => continue,
        };
        return Some(Signature::new(kind, Class::FileSystem, at));
    }
    None
}

/// A file system of VMware ESX: its header at 2 MiB. vmfs-tools, `vmfs_fs.h`.
pub(super) fn vmfs(volume: &Volume<'_>) -> Option<Signature> {
    let block = volume.read(2 << 20, 512)?;
    if le32(&block, 0) != 0x2fab_f15e {
        return None;
    }
    let found = Signature::new("vmfs", Class::FileSystem, 2 << 20).version(block[8]);
    Some(found.uuid(uuid(&block, 9)).label(text(&block, 29, 128)))
}

/// An extent of VMware ESX: the header of its logical volume at 1 MiB. vmfs-tools, `vmfs_volume.h`.
pub(super) fn vmfs_member(volume: &Volume<'_>) -> Option<Signature> {
    let block = volume.read(1 << 20, 8)?;
    (le32(&block, 0) == 0xc001_d00d)
        .then(|| Signature::new("vmfs-member", Class::Volume, 1 << 20).version(le32(&block, 4)))
}

/// A BSD disk label in the second sector, which cuts a partition into more of them. FreeBSD, `sys/sys/disklabel.h`.
pub(super) fn bsd_disklabel(volume: &Volume<'_>) -> Option<Signature> {
    let label = volume.head().get(512..1024)?;
    let sound = le32(label, 0) == BSD_LABEL && le32(label, 132) == BSD_LABEL;
    sound.then(|| Signature::new("bsd-disklabel", Class::Volume, 512))
}

/// The tag of an anchor of UDF.
const UDF_ANCHOR: u16 = 2;
/// The tag of the descriptor of a logical volume of UDF.
const UDF_LOGICAL_VOLUME: u16 = 6;
/// Blocks that UDF has, the most frequent first.
const UDF_BLOCKS: [u64; 4] = [2048, 512, 4096, 1024];
/// Descriptors of UDF that are looked at.
const UDF_MAX_BLOCKS: u64 = 16;
/// The magic number of UFS 1.
const UFS1: u32 = 0x0001_1954;
/// The magic number of UFS 2.
const UFS2: u32 = 0x1954_0119;
/// The magic number of a BSD disk label, which it has twice.
const BSD_LABEL: u32 = 0x8256_4557;
