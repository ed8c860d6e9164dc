//! Members of arrays and pools.

use super::Volume;
use crate::bytes::{array, has, hex, le32, text};
use crate::found::{Class, Signature};

/// A member of a Linux array: the superblock at the start, at 4 KiB, or near the end. Linux, `include/uapi/linux/raid/md_p.h`.
pub(super) fn md(volume: &Volume<'_>) -> Option<Signature> {
    let near_end = (volume.len() / 512).checked_sub(16).map(|sector| (sector & !7) * 512);
    let places = [Some((4096, "1.2")), Some((0, "1.1")), near_end.map(|at| (at, "1.0"))];
    for (at, version) in places.into_iter().flatten() {
        let Some(block) = volume.read(at, 256) else { continue };
        if le32(&block, 0) == MD_MAGIC && le32(&block, 4) == 1 {
            let found = Signature::new("linux-raid", Class::Raid, at).version(version);
            return Some(found.label(text(&block, 32, 32)).uuid(Some(md_uuid(array(&block, 16)))));
        }
    }
    let at = (volume.len() & !0xffff).checked_sub(0x1_0000)?;
    let block = volume.read(at, 256)?;
    if le32(&block, 0) != MD_MAGIC || le32(&block, 4) != 0 {
        return None;
    }
    let mut id = [0; 16];
    id[..4].copy_from_slice(&array::<4>(&block, 20));
    id[4..].copy_from_slice(&array::<12>(&block, 52));
    Some(Signature::new("linux-raid", Class::Raid, at).version("0.90").uuid(Some(md_uuid(id))))
}

/// A member of a ZFS pool: the list of names and values at 16 KiB. "ZFS On-Disk Specification", 1.3.
pub(super) fn zfs(volume: &Volume<'_>) -> Option<Signature> {
    let list = volume.head().get(16_384..16_384 + ZFS_LIST_LEN)?;
    // XDR, whichever end of the host's numbers is first; version 0 with unique names; and then the first pair.
    let is_list = list[0] == 1 && list[1] <= 1 && list[2..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    if !is_list || !has(list, 20, b"\0\0\0\x07version\0") {
        return None;
    }
    Some(Signature::new("zfs-member", Class::Volume, 16_384).label(zfs_string(list, b"name").unwrap_or_default()))
}

/// The text called `name` in a list of names and values.
fn zfs_string(list: &[u8], name: &[u8]) -> Option<String> {
    // A pair: its length encoded and decoded, the name, its type (9 is text), how many, and then length and text.
    let mut wanted = vec![0, 0, 0, u8::try_from(name.len()).ok()?];
    wanted.extend(name);
    wanted.resize(wanted.len().next_multiple_of(4), 0);
    wanted.extend([0, 0, 0, 9, 0, 0, 0, 1]);
    let at = list.windows(wanted.len()).position(|window| window == wanted)? + wanted.len();
    let len = usize::try_from(u32::from_be_bytes(array(list, at))).ok()?;
    Some(text(list, at + 4, len.min(ZFS_LIST_LEN)))
}

/// An identifier as `mdadm` writes it: four groups of four bytes.
fn md_uuid(raw: [u8; 16]) -> String {
    let groups: Vec<_> = raw.chunks(4).map(hex).collect();
    groups.join(":")
}

/// The magic number of Linux arrays.
const MD_MAGIC: u32 = 0xa92b_4efc;
/// Bytes of a list of ZFS that are looked at.
const ZFS_LIST_LEN: usize = 4096;
