#![doc = include_str!("../README.md")]

mod apm;
mod bytes;
mod check;
mod disk;
mod found;
mod gpt;
mod json;
mod mbr;
mod names;
mod signature;

pub use found::{Class, CopyState, Finding, Gpt, Inside, Partition, Severity, Signature, Table, TableKind};
pub use json::to_json;

use imgfmt_core::{Image, Limits, Result};

use disk::Disk;

/// Looks at what lies on the disk `image`: partition tables, and the signatures of file systems and the like on the whole disk and
/// in every partition.
///
/// Reads 80 KiB of the disk and of each partition, and 4 MiB at most; what is not looked at for that reason is a finding, and so is
/// what cannot be read.
///
/// # Errors
///
/// Whatever reading the first sector of the disk meets.
pub fn look(image: &dyn Image, limits: &Limits) -> Result<Inside> {
    let disk = Disk::open(image)?;
    let mut inside = Inside { size: image.size(), ..Inside::default() };
    inside.signatures = signature::of(&disk, 0..image.size());
    // A boot sector of a file system ends like a table, and its code lies where the entries would be.
    let boot_sector = inside.signatures.iter().any(signature::is_boot_sector);
    let mbr = mbr::read(&disk).filter(|mbr| mbr.protects() || !boot_sector);
    let sector_len = gpt::read(&disk, limits, mbr.as_ref(), &mut inside);
    if let Some(mbr) = mbr {
        mbr.report(&disk, sector_len.unwrap_or(mbr::SECTOR_LEN), &mut inside);
    }
    if inside.tables.is_empty() {
        apm::read(&disk, &mut inside);
    }
    check::partitions(&mut inside);
    for partition in inside.partitions.iter_mut().filter(|partition| !partition.container) {
        partition.signatures = signature::of(&disk, partition.start..partition.end().min(image.size()));
    }
    check::volumes(&mut inside);
    inside.findings.extend(disk.into_findings());
    Ok(inside)
}
