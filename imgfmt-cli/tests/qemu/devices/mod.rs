//! Block devices: what is written to them, read from them, and changed on them. They are loop devices, which take root.

mod change;
mod convert;
mod native;
mod read;

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use crate::both::Both;
use crate::desk::Ran;

/// A block device, which is there as long as this.
pub(crate) struct Device {
    /// Its path.
    path: String,
    /// Its bytes.
    len: usize,
    /// The folder of the file that its bytes are in.
    _folder: tempfile::TempDir,
}

impl Device {
    /// A device of `len` bytes with sectors of so many; nothing, and the reason said, where there is none to be had.
    pub(crate) fn new(len: usize, sector: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("device");
        std::fs::File::create(&file).unwrap().set_len(len as u64).unwrap();
        let mut told = String::new();
        // Other tests have the devices that there are, for a while.
        for _ in 0..TRIES {
            let sector = sector.to_string();
            let made = Command::new("losetup").args(["--find", "--show", "--sector-size", &sector]).arg(&file).output();
            match made {
                Ok(made) if made.status.success() => {
                    let path = String::from_utf8(made.stdout).unwrap().trim().to_owned();
                    return Some(Self { path, len, _folder: folder });
                }
                Ok(made) => told = String::from_utf8_lossy(&made.stderr).trim().to_owned(),
                Err(error) => told = error.to_string(),
            }
            if told.contains("ermission") || told.contains("not permitted") || told.contains("(os error 2)") {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("skipped: no loop device can be had: {told}");
        None
    }

    /// `line` with the path for `DEV`.
    pub(crate) fn line(&self, line: &str) -> String {
        line.replace("DEV", &self.path)
    }

    /// Fills it with what nobody has written.
    pub(crate) fn fill(&self) {
        self.put(&vec![GARBAGE; self.len]);
    }

    /// Writes `bytes` to its front.
    pub(crate) fn put(&self, bytes: &[u8]) {
        let mut file = std::fs::OpenOptions::new().write(true).open(&self.path).unwrap();
        file.write_all(bytes).unwrap();
        file.sync_all().unwrap();
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let bytes = std::fs::read(&self.path).unwrap();
        assert_eq!(bytes.len(), self.len);
        bytes
    }

    /// Whether it holds what nobody has written, from byte `from` on.
    pub(crate) fn is_untouched(&self, from: u64) -> bool {
        self.bytes().iter().skip(usize::try_from(from).unwrap()).all(|byte| *byte == GARBAGE)
    }

    /// What `qemu-img` and the program do with a line, each on a device that holds what nobody has written, and what is on it then.
    pub(crate) fn both(&self, both: &Both, line: &str) -> [(Ran, Vec<u8>); 2] {
        let [theirs, ours] = both.desks();
        [(theirs, "qemu-img".into()), (ours, ours.program())].map(|(desk, program)| {
            self.fill();
            let ran = Ran::from(desk.command(program, &self.line(line)).output().unwrap());
            (ran, self.bytes())
        })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let gone = Command::new("losetup").args(["--detach", &self.path]).status();
        if !gone.as_ref().is_ok_and(std::process::ExitStatus::success) {
            println!("{} is left: {gone:?}", self.path);
        }
    }
}

/// What a device holds that nobody has written.
const GARBAGE: u8 = 0xff;
/// How often a device is asked for: for half a minute.
const TRIES: usize = 300;
