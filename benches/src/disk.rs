//! The disk: one ext4 partition on a mostly empty raw image.

use std::fs::{DirBuilder, File, OpenOptions, create_dir_all, read_to_string, remove_dir_all, rename, write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::MIB;
use crate::error::{Error, io};
use crate::{say, tools, tree};

/// The raw image, in the folder that [`prepare`] returns.
pub(crate) const RAW: &str = "disk.raw";
/// Says how the disk was made; written last, so that a disk without it is not whole.
const STAMP: &str = "disk.stamp";
/// To be changed whenever the recipe below is.
const RECIPE: u32 = 1;
/// Bytes in a sector.
const SECTOR: u64 = 512;
/// Where the partition starts, in bytes.
const START: u64 = MIB;
/// Bytes in a block of the file system.
const BLOCK: u64 = 4096;

/// A disk that is asked for; valid by construction.
#[derive(Debug)]
pub(crate) struct Spec {
    /// Bytes of the disk, a multiple of 1 MiB.
    size: u64,
    /// Bytes of files on it, at most.
    data: u64,
    /// The folder whose files these are.
    from: PathBuf,
}

impl Spec {
    /// Refuses data that would not leave room for the file system's own tables, and what an MBR cannot say.
    pub(crate) fn new(size: u64, data: u64, from: PathBuf) -> Result<Self, Error> {
        if data > size / 4 * 3 {
            return Err(Error::Usage("--data may be three quarters of --size at most".to_owned()));
        }
        if size < 16 * MIB || size / SECTOR > u64::from(u32::MAX) {
            return Err(Error::Usage("--size lies outside 16M..=2047G".to_owned()));
        }
        Ok(Self { size, data, from })
    }

    /// The folder name: disks of several sizes may lie side by side.
    fn folder(&self) -> String {
        format!("disk-{}M-{}M", self.size / MIB, self.data / MIB)
    }

    /// What the stamp of such a disk says.
    fn stamp(&self) -> String {
        format!("recipe {RECIPE}\nsize {}\ndata {}\nfrom {}\n", self.size, self.data, self.from.display())
    }
}

/// Makes the disk below `dir` unless it is there, and returns its folder.
pub(crate) fn prepare(dir: &Path, spec: &Spec) -> Result<PathBuf, Error> {
    let folder = dir.join(spec.folder());
    if read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == spec.stamp()) {
        return Ok(folder);
    }
    say(&format!("making {} from {}", folder.join(RAW).display(), spec.from.display()))?;
    if folder.exists() {
        remove_dir_all(&folder).map_err(io(format!("cannot clear {}", folder.display())))?;
    }
    create_dir_all(&folder).map_err(io(format!("cannot create {}", folder.display())))?;
    make(&folder, spec)?;
    write(folder.join(STAMP), spec.stamp()).map_err(io("cannot write the stamp"))?;
    Ok(folder)
}

/// Stages the files, makes the file system of them, and puts the partition table before it.
fn make(folder: &Path, spec: &Spec) -> Result<(), Error> {
    let stage = folder.join("stage");
    // Set-user-ID copies are nobody else's business.
    DirBuilder::new().mode(0o700).create(&stage).map_err(io("cannot create the stage"))?;
    let taken = tree::fill(&spec.from, &stage, spec.data)?;
    say(&format!("{} MiB of files chosen", taken / MIB))?;
    let part = folder.join("disk.raw.part");
    File::create(&part).and_then(|file| file.set_len(spec.size)).map_err(io("cannot create the disk"))?;
    tools::run(&mut mkfs(&stage, &part, spec.size))?;
    remove_dir_all(&stage).map_err(io("cannot remove the stage"))?;
    let file = OpenOptions::new().write(true).open(&part).map_err(io("cannot open the disk"))?;
    file.write_all_at(&partition_table(spec.size), 0).map_err(io("cannot write the partition table"))?;
    dig_holes(&part);
    rename(&part, folder.join(RAW)).map_err(io("cannot rename the disk"))
}

/// The command that makes the file system. Identifiers are fixed, so that disks differ by their files only.
fn mkfs(stage: &Path, disk: &Path, size: u64) -> Command {
    let mut command = Command::new("mkfs.ext4");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command.env("E2FSPROGS_FAKE_TIME", "1750000000");
    command.args(["-q", "-F", "-b", "4096", "-L", "root", "-U", "22222222-0000-4000-8000-000000000001"]);
    command.arg("-E").arg(format!("nodiscard,offset={START},hash_seed=33333333-0000-4000-8000-000000000001"));
    command.arg("-d").arg(stage).arg(disk).arg(((size - START) / BLOCK).to_string());
    command
}

/// An MBR whose one entry is a Linux partition from 1 MiB to the end.
fn partition_table(size: u64) -> [u8; 512] {
    /// Cylinder, head and sector of what only an LBA can say.
    const NO_CHS: [u8; 3] = [0xfe, 0xff, 0xff];
    /// The type byte of a Linux file system.
    const LINUX: u8 = 0x83;
    let field = |bytes: u64| u32::try_from(bytes / SECTOR).unwrap_or(u32::MAX).to_le_bytes();
    let mut table = [0; 512];
    table[447..450].copy_from_slice(&NO_CHS);
    table[450] = LINUX;
    table[451..454].copy_from_slice(&NO_CHS);
    table[454..458].copy_from_slice(&field(START));
    table[458..462].copy_from_slice(&field(size - START));
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    table
}

/// Turns blocks of zeros into holes, as far as the host can. A disk without holes is as right, only longer to read.
fn dig_holes(disk: &Path) {
    let _ = tools::run(Command::new("fallocate").arg("--dig-holes").arg(disk));
}

#[cfg(test)]
mod tests {
    use super::{MIB, Spec, partition_table};

    #[test]
    fn the_partition_fills_the_disk() {
        let table = partition_table(64 * MIB);
        assert_eq!(table[446..462], [0, 254, 255, 255, 0x83, 254, 255, 255, 0, 8, 0, 0, 0, 0xf8, 1, 0]);
        assert_eq!(table[510..], [0x55, 0xaa]);
    }

    #[test]
    fn data_must_fit() {
        assert!(Spec::new(128 * MIB, 96 * MIB, "/usr".into()).is_ok());
        assert!(Spec::new(128 * MIB, 97 * MIB, "/usr".into()).is_err());
        assert!(Spec::new(4096 << 30, MIB, "/usr".into()).is_err());
    }
}
