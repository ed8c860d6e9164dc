//! The same lines given to `qemu-img` and to the program, in two folders with the same files.

use std::process::Command;

use serde_json::Value;

use crate::desk::{Desk, Ran};

/// Two folders with the same files.
pub(crate) struct Both {
    /// Where `qemu-img` runs.
    theirs: Desk,
    /// Where the program runs.
    pub(crate) ours: Desk,
}

impl Both {
    /// Two empty folders; nothing, and the reason said, where there is no `qemu-img`.
    pub(crate) fn new() -> Option<Self> {
        match Command::new("qemu-img").arg("--version").output() {
            Ok(_) => Some(Self { theirs: Desk::new(), ours: Desk::new() }),
            Err(error) => {
                assert!(
                    std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none_or(|value| value != "1"),
                    "qemu-img: {error}"
                );
                println!("skipped: qemu-img cannot be run: {error}");
                None
            }
        }
    }

    /// Writes the same disk into both.
    pub(crate) fn disk(&self, name: &str, len: u64, data: &[u64]) {
        self.theirs.disk(name, len, data);
        self.ours.disk(name, len, data);
    }

    /// Has `qemu-img` make a file with `line`, which both get.
    pub(crate) fn make(&self, line: &str, file: &str) {
        let ran = self.qemu_img(line);
        assert_eq!(ran.code, Some(0), "{line}: {}", ran.stderr);
        std::fs::copy(self.theirs.path(file), self.ours.path(file)).unwrap();
    }

    /// Has `qemu-io` write to a file, which both get.
    pub(crate) fn write(&self, file: &str, format: &str, command: &str) {
        let path = self.theirs.path(file);
        let output = Command::new("qemu-io").args(["-f", format, "-c", command]).arg(path).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stdout));
        std::fs::copy(self.theirs.path(file), self.ours.path(file)).unwrap();
    }

    /// Overwrites bytes of our file.
    pub(crate) fn ours_patch(&self, file: &str, at: usize, bytes: &[u8]) {
        let mut all = self.ours.read(file);
        all[at..at + bytes.len()].copy_from_slice(bytes);
        self.ours.write(file, all);
    }

    /// Runs `qemu-img`.
    fn qemu_img(&self, line: &str) -> Ran {
        Ran::from(self.theirs.command("qemu-img", line).output().unwrap())
    }

    /// Runs a line in both, which end with the same exit code and answer the same; what they say on standard error may be
    /// worded otherwise, but only where both say something.
    pub(crate) fn same(&self, line: &str) -> Ran {
        let (theirs, ours) = (self.qemu_img(line), self.ours.run(line));
        let told = format!(
            "{line}\n--- qemu-img: {}{}\n--- imgfmt: {}{}",
            theirs.stdout, theirs.stderr, ours.stdout, ours.stderr
        );
        assert_eq!(theirs.code, ours.code, "{told}");
        assert_eq!(theirs.stderr.is_empty(), ours.stderr.is_empty(), "{told}");
        match (serde_json::from_str::<Value>(&theirs.stdout), serde_json::from_str::<Value>(&ours.stdout)) {
            (Ok(theirs), Ok(ours)) => assert_eq!(settled(theirs), settled(ours), "{line}"),
            _ => assert_eq!(settled_text(&theirs.stdout), settled_text(&ours.stdout), "{line}"),
        }
        ours
    }

    /// What both print, as JSON.
    pub(crate) fn infos(&self, line: &str) -> (Value, Value) {
        let value = |ran: Ran| serde_json::from_str(&ran.stdout).unwrap_or_default();
        (value(self.qemu_img(line)), value(self.ours.run(line)))
    }

    /// Runs a line in both, which fail alike, and say the same on standard error.
    pub(crate) fn same_fault(&self, line: &str) {
        let (theirs, ours) = (self.qemu_img(line), self.ours.run(line));
        assert_eq!((theirs.code, theirs.stderr), (ours.code, ours.stderr), "{line}");
    }

    /// Checks that an image holds the same in both, as `qemu-img` reads it.
    pub(crate) fn same_content(&self, file: &str, format: &str) {
        let raw = |desk: &Desk| {
            let line = format!("convert -U -f {format} -O raw {file} content.raw");
            let output = desk.command("qemu-img", &line).output().unwrap();
            assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
            desk.read("content.raw")
        };
        assert!(raw(&self.theirs) == raw(&self.ours), "{file} differs");
    }

    /// Checks that `qemu-img` finds nothing wrong with our image.
    pub(crate) fn sound(&self, file: &str) {
        let ran = Ran::from(self.ours.command("qemu-img", &format!("check {file}")).output().unwrap());
        assert_eq!(ran.code, Some(0), "{file}: {}{}", ran.stdout, ran.stderr);
    }
}

/// A value without what need not be the same: what a file takes on its file system, which is settled late, and what is
/// drawn by chance or from the clock.
fn settled(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(key, _)| !UNSETTLED.contains(&key.as_str()))
            .map(|(key, value)| (key, settled(value)))
            .collect(),
        Value::Array(list) => list.into_iter().map(settled).collect(),
        other => other,
    }
}

/// Lines without what need not be the same.
fn settled_text(text: &str) -> String {
    let kept = |line: &&str| !line.trim_start().starts_with("disk size:") && !line.contains("Run completed in");
    text.lines().filter(kept).collect::<Vec<_>>().join("\n")
}

/// What need not be the same.
const UNSETTLED: [&str; 4] = ["actual-size", "date-sec", "date-nsec", "cid"];
