//! The same lines given to `qemu-img` and to the program, in two folders with the same files.

use std::cell::RefCell;
use std::process::Command;

use serde_json::Value;

use crate::desk::{Desk, Ran};

/// Two folders with the same files.
pub(crate) struct Both {
    /// Where `qemu-img` runs.
    pub(crate) theirs: Desk,
    /// Where the program runs.
    pub(crate) ours: Desk,
    /// What was answered otherwise.
    complaints: RefCell<Vec<String>>,
}

impl Drop for Both {
    fn drop(&mut self) {
        let complaints = self.complaints.borrow().join("\n");
        if std::thread::panicking() {
            println!("{complaints}");
        } else {
            assert!(complaints.is_empty(), "{complaints}");
        }
    }
}

impl Both {
    /// Two empty folders; nothing, and the reason said, where there is no `qemu-img`.
    pub(crate) fn new() -> Option<Self> {
        match Command::new("qemu-img").arg("--version").output() {
            Ok(_) => Some(Self { theirs: Desk::new(), ours: Desk::new(), complaints: RefCell::default() }),
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

    /// Has `qemu-img` run `line` in both, as a copy of a file has no holes.
    pub(crate) fn make_in_both(&self, line: &str) {
        for desk in [&self.theirs, &self.ours] {
            let ran = Ran::from(desk.command("qemu-img", line).output().unwrap());
            assert_eq!(ran.code, Some(0), "{line}: {}", ran.stderr);
        }
    }

    /// Has `qemu-io` write to a file, which both get.
    pub(crate) fn write(&self, file: &str, format: &str, command: &str) {
        let path = self.theirs.path(file);
        let output = Command::new("qemu-io").args(["-f", format, "-c", command]).arg(path).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stdout));
        std::fs::copy(self.theirs.path(file), self.ours.path(file)).unwrap();
    }

    /// Overwrites bytes of their file, which both get.
    pub(crate) fn patch(&self, file: &str, at: usize, bytes: &[u8]) {
        let mut all = self.theirs.read(file);
        all[at..at + bytes.len()].copy_from_slice(bytes);
        self.theirs.write(file, &all);
        self.ours.write(file, all);
    }

    /// Overwrites bytes of our file.
    pub(crate) fn ours_patch(&self, file: &str, at: usize, bytes: &[u8]) {
        let mut all = self.ours.read(file);
        all[at..at + bytes.len()].copy_from_slice(bytes);
        self.ours.write(file, all);
    }

    /// Cuts a file by so many bytes in both.
    pub(crate) fn cut(&self, file: &str, by: usize) {
        let bytes = self.ours.read(file);
        [&self.theirs, &self.ours].iter().for_each(|desk| desk.write(file, &bytes[..bytes.len() - by]));
    }

    /// Has `qemu-img` run a line, which succeeds.
    pub(crate) fn theirs_ok(&self, line: &str) {
        let ran = self.qemu_img(line);
        assert_eq!(ran.code, Some(0), "{line}: {}", ran.stderr);
    }

    /// Has `qemu-img` run a line, whatever comes of it.
    pub(crate) fn theirs_run(&self, line: &str) {
        let _ = self.qemu_img(line);
    }

    /// Both folders.
    pub(crate) fn desks(&self) -> [&Desk; 2] {
        [&self.theirs, &self.ours]
    }

    /// Runs `qemu-img`.
    fn qemu_img(&self, line: &str) -> Ran {
        Ran::from(self.theirs.command("qemu-img", line).output().unwrap())
    }

    /// Runs a line in both, which end with the same exit code and answer the same; what they say on standard error may be
    /// worded otherwise, but only where both say something.
    pub(crate) fn same(&self, line: &str) -> Ran {
        let (theirs, ours) = (self.qemu_img(line), self.ours.run(line));
        let answer = |ran: &Ran| match serde_json::from_str::<Value>(&ran.stdout) {
            Ok(value) => format!("{:#}", settled(value)),
            Err(_) => settled_text(&ran.stdout),
        };
        let is_told = |ran: &Ran| !ran.stderr.is_empty();
        if (theirs.code, is_told(&theirs), answer(&theirs)) != (ours.code, is_told(&ours), answer(&ours)) {
            self.complain(line, &theirs, &ours);
        }
        ours
    }

    /// Notes a line that was answered otherwise.
    fn complain(&self, line: &str, theirs: &Ran, ours: &Ran) {
        let part =
            |name: &str, Ran { code, stdout, stderr }: &Ran| format!("{name} ends with {code:?}\n{stdout}{stderr}");
        let (theirs, ours) = (part("qemu-img", theirs), part("the program", ours));
        self.complaints.borrow_mut().push(format!("--- {line}\n{theirs}{ours}"));
    }

    /// What both print, as JSON.
    pub(crate) fn infos(&self, line: &str) -> (Value, Value) {
        let value = |ran: Ran| serde_json::from_str(&ran.stdout).unwrap_or_default();
        (value(self.qemu_img(line)), value(self.ours.run(line)))
    }

    /// Runs a line in both, which fail alike, and say the same on standard error.
    pub(crate) fn same_fault(&self, line: &str) {
        let (theirs, ours) = (self.qemu_img(line), self.ours.run(line));
        if (theirs.code, &theirs.stderr) != (ours.code, &ours.stderr) {
            self.complain(line, &theirs, &ours);
        }
    }

    /// Checks that an image holds the same in both, as `qemu-img` reads it.
    pub(crate) fn same_content(&self, file: &str, format: &str) {
        let raw = |desk: &Desk| {
            let line = format!("convert -U -f {format} -O raw {file} content.raw");
            let output = desk.command("qemu-img", &line).output().unwrap();
            assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
            desk.read("content.raw")
        };
        if raw(&self.theirs) != raw(&self.ours) {
            self.complaints.borrow_mut().push(format!("--- {file} differs"));
        }
    }

    /// Checks that `qemu-img` finds nothing wrong with our image.
    pub(crate) fn sound(&self, file: &str) {
        let ran = Ran::from(self.ours.command("qemu-img", &format!("check {file}")).output().unwrap());
        assert_eq!(ran.code, Some(0), "{file}: {}{}", ran.stdout, ran.stderr);
    }
}

/// A value without what need not be the same: what a file takes on its file system, which is settled late, and what is
/// drawn by chance or from the clock; in one order.
fn settled(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.into_iter().filter(|(key, _)| !UNSETTLED.contains(&key.as_str())).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members.into_iter().map(|(key, value)| (key, settled(value))).collect()
        }
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
