//! Choosing files of the machine for the file system.
//!
//! A file is chosen by a hash of its path, so that a part of a folder is a fair sample of all of it, and the same on
//! every run. The tree is walked twice, once to weigh and once to take: a list of all paths would raise this
//! program's own peak memory, which the kernel counts into that of every program it starts.

use std::collections::HashSet;
use std::fs::{DirEntry, Metadata, copy, create_dir_all, hard_link, read_dir};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, io as because};

/// Files are sampled in steps of one part in this many.
const BUCKETS: u64 = 4096;
/// Larger files are left out: a few of them would make up the disk.
const MAX_LEN: u64 = 32 << 20;
/// The file system's block, to which each file is rounded up.
const BLOCK: u64 = 4096;

/// Fills the folder `to` with a sample of the files below `from`, `data` bytes of blocks at most; returns the bytes.
///
/// Files are linked where that is allowed, and copied elsewhere. What may not be read is left out.
pub(crate) fn fill(from: &Path, to: &Path, data: u64) -> Result<u64, Error> {
    let mut census = vec![0; BUCKETS as usize];
    walk(from, &mut |path, len| {
        census[bucket(path)] += len;
        Ok(())
    })?;
    let buckets = enough(&census, data);
    let mut taken = 0;
    walk(from, &mut |path, len| {
        let wanted = bucket(path) < buckets && taken + len <= data;
        if wanted && place(&from.join(path), &to.join(path))? {
            taken += len;
        }
        Ok(())
    })?;
    Ok(taken)
}

/// How many of the first buckets hold `data` bytes; all of them where there are not as many.
fn enough(census: &[u64], data: u64) -> usize {
    let mut sum = 0;
    let below = census.iter().take_while(|bytes| {
        let more = sum < data;
        sum += **bytes;
        more
    });
    below.count()
}

/// What is done with a file, given its path below the root and its length in whole blocks.
type Visit<'a> = dyn FnMut(&Path, u64) -> Result<(), Error> + 'a;

/// Shows each regular file below `root` to `visit`, in order of names; one of several names, where it has several.
fn walk(root: &Path, visit: &mut Visit<'_>) -> Result<(), Error> {
    Walk { root, visit, linked: HashSet::new() }.folder(Path::new(""))
}

/// A walk under way.
struct Walk<'a> {
    /// Where it started.
    root: &'a Path,
    /// What is done with a file.
    visit: &'a mut Visit<'a>,
    /// Files of several names that were seen. Device numbers are left out: a rare clash costs one file.
    linked: HashSet<u64>,
}

impl Walk<'_> {
    /// Walks the folder `path` below the root.
    fn folder(&mut self, path: &Path) -> Result<(), Error> {
        for entry in sorted(&self.root.join(path))? {
            let path = path.join(entry.file_name());
            let Ok(facts) = entry.metadata() else {
                continue;
            };
            if facts.is_dir() {
                self.folder(&path)?;
            } else if self.admits(&facts) {
                (self.visit)(&path, facts.len().next_multiple_of(BLOCK))?;
            }
        }
        Ok(())
    }

    /// Whether this is a regular file, not too large and not seen before.
    fn admits(&mut self, facts: &Metadata) -> bool {
        let fits = facts.is_file() && facts.len() <= MAX_LEN;
        fits && (facts.nlink() == 1 || self.linked.insert(facts.ino()))
    }
}

/// The entries of a folder by name; none where it may not be read.
fn sorted(folder: &Path) -> Result<Vec<DirEntry>, Error> {
    let entries = match read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Vec::new()),
        entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
    };
    let mut entries = entries.map_err(because(format!("cannot list {}", folder.display())))?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

/// Puts `file` at `target`; false where it may not be read.
fn place(file: &Path, target: &Path) -> Result<bool, Error> {
    let folder = target.parent().unwrap_or(target);
    create_dir_all(folder).map_err(because(format!("cannot create {}", folder.display())))?;
    if hard_link(file, target).is_ok() {
        return Ok(true);
    }
    match copy(file, target) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(because(format!("cannot copy {}", file.display()))(error)),
    }
}

/// The bucket of a path: 64-bit FNV-1a, folded.
fn bucket(path: &Path) -> usize {
    let hash = path
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    ((hash ^ (hash >> 32)) % BUCKETS) as usize
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, MAX_LEN, bucket, enough, fill, walk};
    use std::fs::{File, create_dir_all, hard_link, write};
    use std::path::Path;
    use tempfile::tempdir;

    #[test]
    fn files_are_taken_once_and_up_to_the_limit() {
        let (from, to) = (tempdir().unwrap(), tempdir().unwrap());
        create_dir_all(from.path().join("a/b")).unwrap();
        for n in 0..100 {
            write(from.path().join(format!("a/b/{n}")), "text").unwrap();
        }
        hard_link(from.path().join("a/b/7"), from.path().join("a/again")).unwrap();
        File::create(from.path().join("huge")).unwrap().set_len(MAX_LEN + 1).unwrap();

        let mut names = 0;
        let count = &mut |_: &Path, _| {
            names += 1;
            Ok(())
        };
        walk(from.path(), count).unwrap();
        assert_eq!(names, 100);
        assert_eq!(fill(from.path(), to.path(), 10 * 4096).unwrap(), 10 * 4096);
    }

    #[test]
    fn buckets_are_taken_until_the_data_suffice() {
        assert_eq!(enough(&[3, 3, 3, 3], 0), 0);
        assert_eq!(enough(&[3, 3, 3, 3], 6), 2);
        assert_eq!(enough(&[3, 3, 3, 3], 7), 3);
        assert_eq!(enough(&[3, 3, 3, 3], 100), 4);
    }

    #[test]
    fn paths_spread_over_the_buckets() {
        let low = (0..10_000).filter(|n| bucket(Path::new(&format!("lib/file{n}"))) < BUCKETS as usize / 4);
        let low = low.count();
        assert!((2000..3000).contains(&low), "{low} of 10000 in a quarter of the buckets");
    }
}
