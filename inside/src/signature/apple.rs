//! File systems of Apple.

use super::Volume;
use crate::bytes::{be16, be32, has, le32, le64, uuid};
use crate::found::{Class, Signature};

/// HFS, HFS+ and HFSX: the header at 1024. Technical Note TN1150; Inside Macintosh, Files, 2.
pub(super) fn hfs(volume: &Volume<'_>) -> Option<Signature> {
    let block = volume.head().get(1024..1536)?;
    let version = be16(block, 2);
    match block.get(..2)? {
        b"BD" => {
            let len = be32(block, 20);
            let sound = len > 0 && len.is_multiple_of(512);
            sound.then(|| Signature::new("hfs", Class::FileSystem, 1024).blocks(len.into(), be16(block, 18).into()))
        }
        b"H+" if version == 4 => Some(hfs_plus("hfsplus", block)),
        b"HX" if version == 5 => Some(hfs_plus("hfsx", block)),
        _ => None,
    }
}

/// HFS+, or the kind that tells upper from lower case.
fn hfs_plus(kind: &'static str, block: &[u8]) -> Signature {
    Signature::new(kind, Class::FileSystem, 1024)
        .version(be16(block, 2))
        .blocks(be32(block, 40).into(), be32(block, 44).into())
}

/// A container of APFS: the superblock at 0. "Apple File System Reference", "Container".
pub(super) fn apfs(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let block_len = le32(head, 36);
    if !has(head, 32, b"NXSB") || !block_len.is_power_of_two() || !(4096..=65_536).contains(&block_len) {
        return None;
    }
    Some(Signature::new("apfs", Class::FileSystem, 32).uuid(uuid(head, 72)).blocks(block_len.into(), le64(head, 40)))
}
