//! File systems that start with a boot sector of a PC.

use super::Volume;
use crate::bytes::{has, le16, le32, le64, text};
use crate::found::{Class, Signature};

/// Kinds of signatures of this file.
pub(super) const KINDS: [&str; 6] = ["bitlocker", "ntfs", "exfat", "fat12", "fat16", "fat32"];

/// BitLocker: the name where NTFS has its own. libbde, "BitLocker Drive Encryption (BDE) format".
pub(super) fn bitlocker(volume: &Volume<'_>) -> Option<Signature> {
    has(volume.head(), 3, b"-FVE-FS-").then(|| Signature::new("bitlocker", Class::Encryption, 3))
}

/// NTFS. libfsntfs, "New Technologies File System (NTFS)".
pub(super) fn ntfs(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let sector_len = le16(head, 11);
    if !has(head, 3, b"NTFS    ") || !is_sector_len(sector_len) {
        return None;
    }
    // Above 0x80 it is a negative power of two.
    let per_cluster = *head.get(13)?;
    let sectors = if per_cluster <= 0x80 {
        u64::from(per_cluster)
    } else {
        1u64.checked_shl((256 - u32::from(per_cluster)).min(63))?
    };
    let found = Signature::new("ntfs", Class::FileSystem, 3).uuid(Some(format!("{:016X}", le64(head, 72))));
    let len = le64(head, 40).checked_mul(sector_len.into());
    Some(Signature { block_len: sectors.checked_mul(sector_len.into()), len, ..found })
}

/// exFAT. "exFAT file system specification", 3.1.
pub(super) fn exfat(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let (sector_bits, cluster_bits) = (*head.get(108)?, *head.get(109)?);
    if !has(head, 3, b"EXFAT   ") || !(9..=12).contains(&sector_bits) || cluster_bits > 25 {
        return None;
    }
    let version = format!("{}.{}", head[105], head[104]);
    let found = Signature::new("exfat", Class::FileSystem, 3).version(version).uuid(Some(serial(le32(head, 100))));
    let len = le64(head, 72).checked_mul(1 << sector_bits);
    Some(Signature { block_len: Some(1 << (sector_bits + cluster_bits)), len, ..found })
}

/// FAT with entries of 12, 16 and 32 bits, told apart by how many clusters there are. "FAT: General Overview of On-Disk Format"
/// 1.03.
pub(super) fn fat(volume: &Volume<'_>) -> Option<Signature> {
    let head = volume.head();
    let fat = Fat::parse(head)?;
    let (kind, extended) = match fat.clusters()? {
        _ if fat.table_len_16 == 0 => ("fat32", 64),
        ..4085 => ("fat12", 36),
        _ => ("fat16", 36),
    };
    let found = Signature::new(kind, Class::FileSystem, 0);
    let found = found.blocks(fat.sector_len, fat.sectors);
    let found = Signature { block_len: Some(fat.sector_len * fat.per_cluster), ..found };
    if !matches!(head[extended + 2], 0x28 | 0x29) {
        return Some(found);
    }
    let label = Some(text(head, extended + 7, 11)).filter(|label| label != "NO NAME" && head[extended + 2] == 0x29);
    Some(found.uuid(Some(serial(le32(head, extended + 3)))).label(label.unwrap_or_default()))
}

/// The parameters of a FAT volume.
struct Fat {
    /// Bytes of a sector.
    sector_len: u64,
    /// Sectors of a cluster.
    per_cluster: u64,
    /// Sectors before the first table.
    reserved: u64,
    /// How many tables there are.
    tables: u64,
    /// Entries of the root directory; 0 with 32 bits.
    root_entries: u64,
    /// Sectors of a table; 0 with 32 bits.
    table_len_16: u64,
    /// Sectors of a table.
    table_len: u64,
    /// Sectors of the volume.
    sectors: u64,
}

impl Fat {
    /// Parses a boot sector; one whose numbers make no sense is none of FAT.
    fn parse(head: &[u8]) -> Option<Self> {
        let jumps = matches!(head.first()?, 0xeb | 0xe9);
        let (sector_len, per_cluster, media) = (le16(head, 11), *head.get(13)?, *head.get(21)?);
        let table_len_16 = u64::from(le16(head, 22));
        let sectors_16 = u64::from(le16(head, 19));
        let fat = Self {
            sector_len: sector_len.into(),
            per_cluster: per_cluster.into(),
            reserved: le16(head, 14).into(),
            tables: u64::from(head[16]),
            root_entries: le16(head, 17).into(),
            table_len_16,
            table_len: if table_len_16 == 0 { le32(head, 36).into() } else { table_len_16 },
            sectors: if sectors_16 == 0 { le32(head, 32).into() } else { sectors_16 },
        };
        let sound = jumps
            && has(head, 510, &[0x55, 0xaa])
            && is_sector_len(sector_len)
            && per_cluster.is_power_of_two()
            && matches!(media, 0xf0 | 0xf8..)
            && fat.reserved > 0
            && matches!(fat.tables, 1 | 2)
            && fat.table_len > 0
            && (fat.table_len_16 > 0) == (fat.root_entries > 0);
        sound.then_some(fat)
    }

    /// Clusters of the volume, if it has any.
    fn clusters(&self) -> Option<u64> {
        let root = (self.root_entries * 32).div_ceil(self.sector_len);
        let before = self.reserved + self.tables * self.table_len + root;
        Some(self.sectors.checked_sub(before)? / self.per_cluster).filter(|&clusters| clusters > 0)
    }
}

/// Whether sectors can have this length.
fn is_sector_len(len: u16) -> bool {
    len.is_power_of_two() && (512..=4096).contains(&len)
}

/// A serial number as it is written.
fn serial(number: u32) -> String {
    format!("{:04X}-{:04X}", number >> 16, number & 0xffff)
}
