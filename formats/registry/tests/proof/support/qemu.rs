//! `qemu-img`, the judge of most things here.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::Outcome;
use super::say::skip;

/// A `qemu-img` that answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QemuImg(());

impl QemuImg {
    /// The one of this machine; without one, the test is to skip.
    pub(crate) fn find() -> Option<Self> {
        let found = ["qemu-img", "qemu-io"].iter().all(|program| {
            let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        });
        if !found {
            skip("IMGFMT_REQUIRE_ORACLES", "qemu-img and qemu-io are not installed");
        }
        found.then_some(Self(()))
    }

    /// Runs `qemu-img` in `folder` and returns what it prints.
    pub(crate) fn run<S: AsRef<OsStr>>(self, folder: &Path, args: &[S]) -> Outcome<String> {
        text_of(Command::new("qemu-img").args(args).current_dir(folder).output()?, args)
    }

    /// Writes `len` bytes of `pattern` at `offset` of the image called `name` in `folder`.
    pub(crate) fn write_pattern(self, folder: &Path, name: &str, pattern: u8, offset: u64, len: u64) -> Outcome {
        let write = format!("write -P {pattern} {offset} {len}");
        let args = ["-c", &write, name];
        text_of(Command::new("qemu-io").args(args).current_dir(folder).output()?, &args).map(drop)
    }

    /// Checks that the tables and refcounts of the qcow2 image at `path` are right and that nothing leaks.
    pub(crate) fn check(self, path: &Path) -> Outcome {
        let args = [OsStr::new("check"), "-f".as_ref(), "qcow2".as_ref(), "--output=json".as_ref(), path.as_os_str()];
        let output = Command::new("qemu-img").args(args).output()?;
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let count = |key: &str| report[key].as_u64().unwrap_or(0);
        let faults = count("leaks") + count("corruptions") + count("check-errors");
        if output.status.code() == Some(0) && faults == 0 && !report.is_null() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr);
        Err(format!("qemu-img check: {}: {report} {words}", output.status).into())
    }

    /// Checks that the image at `path` and the raw file at `raw` hold the same.
    pub(crate) fn compare(self, path: &Path, format: &str, raw: &Path) -> Outcome {
        let args = [
            OsStr::new("compare"),
            "-f".as_ref(),
            format.as_ref(),
            "-F".as_ref(),
            "raw".as_ref(),
            path.as_os_str(),
            raw.as_os_str(),
        ];
        self.run(Path::new("."), &args).map(drop)
    }

    /// What `qemu-img info` says of the image at `path`.
    pub(crate) fn info(self, path: &Path) -> Outcome<Value> {
        let args = [OsStr::new("info"), "--output=json".as_ref(), path.as_os_str()];
        Ok(serde_json::from_str(&self.run(Path::new("."), &args)?)?)
    }

    /// Makes the image called `to` from the raw file called `from`, both in `folder`. `args` are what
    /// else `qemu-img convert` takes, separated by blanks.
    pub(crate) fn make(self, folder: &Path, from: &str, args: &str, to: &str) -> Outcome {
        let mut all = vec!["convert", "-f", "raw"];
        all.extend(args.split_whitespace());
        all.extend([from, to]);
        self.run(folder, &all).map(drop)
    }
}

/// What a program printed, or an error with its complaint.
fn text_of<S: AsRef<OsStr>>(output: Output, args: &[S]) -> Outcome<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let args: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}: {} {}", args.join(" "), output.status, words.trim(), text.trim()).into())
}
