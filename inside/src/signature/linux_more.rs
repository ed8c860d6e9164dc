//! What Linux puts on disks less often.

use super::Volume;
use crate::bytes::{has, le16, le32, le64, text, utf16, uuid};
use crate::found::{Class, Signature};

/// SquashFS: the superblock at 0. Linux, `Documentation/filesystems/squashfs.rst`.
pub(super) fn squashfs(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let (block_len, block_log, major) = (le32(head, 12), le16(head, 22), le16(head, 28));
    if !has(head, 0, b"hsqs") || major != 4 || 1u32.checked_shl(block_log.into()) != Some(block_len) {
        return None;
    }
    let found = Signature::new("squashfs", Class::FileSystem, 0).version(format!("{major}.{}", le16(head, 30)));
    Some(Signature { block_len: Some(block_len.into()), len: Some(le64(head, 40)), ..found })
}

/// EROFS: the superblock at 1024. Linux, `Documentation/filesystems/erofs.rst`.
pub(super) fn erofs(volume: &Volume<'_>) -> Option<Signature> {
    let block = volume.head().get(1024..)?;
    let bits = block.get(12).copied()?;
    if le32(block, 0) != 0xe0f5_e1e2 || !(9..=16).contains(&bits) {
        return None;
    }
    let found = Signature::new("erofs", Class::FileSystem, 1024).label(text(block, 64, 16)).uuid(uuid(block, 48));
    Some(found.blocks(1 << bits, le32(block, 36).into()))
}

/// ReiserFS: the superblock at 64 KiB, or at 8 KiB in its oldest form. Linux 6.12, `fs/reiserfs/reiserfs.h`.
pub(super) fn reiserfs(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let (at, version) = [65_536, 8192].into_iter().find_map(|at| {
        let version = REISERFS.iter().find(|(magic, _)| has(head, at + 52, magic))?.1;
        Some((at, version))
    })?;
    let block = &head[at..];
    let found = Signature::new("reiserfs", Class::FileSystem, at as u64 + 52).version(version);
    let found = if version == "3.5" { found } else { found.label(text(block, 100, 16)).uuid(uuid(block, 84)) };
    Some(found.blocks(le16(block, 44).into(), le32(block, 0).into()))
}

/// JFS: the superblock at 32 KiB. Linux, `fs/jfs/jfs_superblock.h`.
pub(super) fn jfs(volume: &Volume<'_>) -> Option<Signature> {
    let block = volume.head().get(32_768..)?;
    let block_len = le32(block, 16);
    if !has(block, 0, b"JFS1") || !block_len.is_power_of_two() {
        return None;
    }
    let found = Signature::new("jfs", Class::FileSystem, 32_768).version(le32(block, 4));
    let found = found.label(text(block, 152, 16)).uuid(uuid(block, 136));
    // The size is counted in sectors of 512 bytes.
    Some(Signature { block_len: Some(block_len.into()), len: le64(block, 8).checked_mul(512), ..found })
}

/// F2FS: the superblock at 1024. Linux, `include/linux/f2fs_fs.h`.
pub(super) fn f2fs(volume: &Volume<'_>) -> Option<Signature> {
    let block = volume.head().get(1024..)?;
    let log_block = le32(block, 16);
    if le32(block, 0) != 0xf2f5_2010 || !(12..=16).contains(&log_block) {
        return None;
    }
    let found =
        Signature::new("f2fs", Class::FileSystem, 1024).version(format!("{}.{}", le16(block, 4), le16(block, 6)));
    Some(found.label(utf16(block, 124, 512)).uuid(uuid(block, 108)).blocks(1 << log_block, le64(block, 36)))
}

/// Magic numbers of ReiserFS, and the versions that they say.
const REISERFS: [(&[u8], &str); 3] = [(b"ReIsErFs", "3.5"), (b"ReIsEr2Fs", "3.6"), (b"ReIsEr3Fs", "JR")];
