//! Signatures of file systems and of what holds them, each by the document or source that publishes its layout.
//!
//! A signature is looked for where its format has it, and taken where the numbers beside it make sense; nothing is mounted,
//! followed or repaired.

mod apple;
mod array;
mod boot;
mod linux;
mod linux_more;
mod other;

use std::ops::Range;

use crate::disk::Disk;
use crate::found::Signature;

/// A disk or partition, as far as signatures can be in it.
pub(crate) struct Volume<'a> {
    /// The disk.
    disk: &'a Disk<'a>,
    /// Its bytes on the disk.
    range: Range<u64>,
    /// Its first bytes.
    head: Vec<u8>,
}

impl Volume<'_> {
    /// Its first bytes, as many as there are up to 68 KiB.
    fn head(&self) -> &[u8] {
        &self.head
    }

    /// Bytes that it has.
    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Exactly `len` bytes from `at` on, where it has them.
    fn read(&self, at: u64, len: usize) -> Option<Vec<u8>> {
        let end = at.checked_add(len as u64)?;
        if end <= self.head.len() as u64 {
            let at = usize::try_from(at).ok()?;
            return Some(self.head[at..at + len].to_vec());
        }
        if end > self.len() {
            return None;
        }
        self.disk.read_exact(self.range.start + at, len)
    }
}

/// The signatures in `range` of a disk, in the order in which they are looked for.
pub(crate) fn of(disk: &Disk<'_>, range: Range<u64>) -> Vec<Signature> {
    if range.start >= range.end {
        return Vec::new();
    }
    let len = usize::try_from(range.end - range.start).unwrap_or(HEAD_LEN).min(HEAD_LEN);
    let head = disk.read(range.start, len);
    if head.is_empty() {
        return Vec::new();
    }
    let volume = Volume { disk, range, head };
    PROBES.iter().filter_map(|probe| probe(&volume)).collect()
}

/// Whether a signature is that of a boot sector, which ends like a partition table.
pub(crate) fn is_boot_sector(signature: &Signature) -> bool {
    boot::KINDS.contains(&signature.kind)
}

/// Looks for one signature.
type Probe = fn(&Volume<'_>) -> Option<Signature>;

/// Everything that is looked for.
const PROBES: &[Probe] = &[
    linux::ext,
    linux::xfs,
    linux::btrfs,
    linux::swap,
    linux::luks,
    linux::lvm,
    linux_more::squashfs,
    linux_more::erofs,
    linux_more::reiserfs,
    linux_more::jfs,
    linux_more::f2fs,
    array::md,
    array::zfs,
    boot::bitlocker,
    boot::ntfs,
    boot::exfat,
    boot::fat,
    apple::hfs,
    apple::apfs,
    other::iso9660,
    other::udf,
    other::ufs,
    other::vmfs,
    other::vmfs_member,
    other::bsd_disklabel,
];

/// Bytes at the start of a volume that are read at once: most signatures lie in them.
const HEAD_LEN: usize = 68 << 10;
