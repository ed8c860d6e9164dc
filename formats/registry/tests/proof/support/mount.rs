//! File systems that are made for a test, which takes root and loop devices.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Outcome;
use super::say::say;

/// A file system that lives as long as this.
#[derive(Debug)]
pub(crate) struct Mount {
    /// The folder with the image of the file system and the mount point; removed last.
    folder: tempfile::TempDir,
}

impl Mount {
    /// A new file system of that kind in a file, or `None` where this machine cannot, and the reason is printed.
    pub(crate) fn file_system(kind: &str) -> Outcome<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let image = folder.path().join("image");
        std::fs::File::create(&image)?.set_len(FILE_SYSTEM_LEN)?;
        let image = image.to_string_lossy().into_owned();
        if !runs(&format!("mkfs.{kind}"), &["-q", &image]) {
            say(&format!("skipped: mkfs.{kind} is not there"));
            return Ok(None);
        }
        Self::new(folder, &["-o", "loop", &image], kind)
    }

    /// A file system in memory with room for `len` bytes, or `None` as above.
    pub(crate) fn memory(len: u64) -> Outcome<Option<Self>> {
        Self::new(tempfile::tempdir()?, &["-t", "tmpfs", "-o", &format!("size={len}"), "tmpfs"], "tmpfs")
    }

    /// Mounts below `folder`.
    fn new(folder: tempfile::TempDir, args: &[&str], kind: &str) -> Outcome<Option<Self>> {
        let place = folder.path().join("mount");
        std::fs::create_dir(&place)?;
        let place = place.to_string_lossy().into_owned();
        let mounted = runs("mount", &[args, &[&place]].concat());
        if !mounted {
            say(&format!("skipped: {kind} cannot be mounted here"));
        }
        Ok(mounted.then_some(Self { folder }))
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("mount")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        runs("umount", &[&self.path().to_string_lossy()]);
    }
}

/// Bytes of the file at `path` in blocks that other files have too, as `filefrag` counts them.
pub(crate) fn shared_bytes(path: &Path) -> Outcome<u64> {
    let output = Command::new("filefrag").args(["-s", "-v", "-b1"]).arg(path).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // ext: logical_offset: physical_offset: length: expected: flags:
    let lines = text.lines().filter(|line| line.contains("shared"));
    let lengths = lines.map(|line| line.split(':').nth(3).map_or("", str::trim).parse::<u64>());
    Ok(lengths.collect::<Result<Vec<_>, _>>()?.into_iter().sum())
}

/// Runs a program and says whether it succeeded.
fn runs(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Bytes of a file system: XFS takes no less than 300 MB.
const FILE_SYSTEM_LEN: u64 = 400 << 20;
