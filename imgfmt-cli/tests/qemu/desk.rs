//! Running the program under the name `qemu-img`, and files to run it on.

use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A folder in which the program runs, and a link to it.
pub(crate) struct Desk {
    /// The folder.
    folder: tempfile::TempDir,
    /// The folder of the link.
    link: tempfile::TempDir,
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// What it printed to standard output.
    pub(crate) stdout: String,
    /// What it printed to standard error.
    pub(crate) stderr: String,
}

impl Desk {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        let link = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_BIN_EXE_imgfmt"), link.path().join("qemu-img")).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), link }
    }

    /// The path of the file `name`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder, as the system calls it.
    pub(crate) fn folder(&self) -> String {
        self.folder.path().canonicalize().unwrap().display().to_string()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// Writes a disk of `len` bytes with 64 KiB of data at each of `data`, different for each place.
    pub(crate) fn disk(&self, name: &str, len: u64, data: &[u64]) {
        let file = std::fs::File::create(self.path(name)).unwrap();
        file.set_len(len).unwrap();
        for &at in data {
            let bytes: Vec<u8> = (0..65_536u64).map(|i| ((i * 31 + at / 4096) % 251 + 1) as u8).collect();
            file.write_all_at(&bytes[..usize::try_from((len - at).min(65_536)).unwrap()], at).unwrap();
        }
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The link to the program.
    pub(crate) fn program(&self) -> PathBuf {
        self.link.path().join("qemu-img")
    }

    /// A program, about to run here with the words of `line`.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>, line: &str) -> Command {
        let mut command = Command::new(program);
        command.args(words(line)).current_dir(self.folder.path());
        command
    }

    /// Runs the program with the words of `line`.
    pub(crate) fn run(&self, line: &str) -> Ran {
        Ran::from(self.command(self.program(), line).output().unwrap())
    }

    /// Runs the program, which succeeds and prints nothing to standard error.
    pub(crate) fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}: {}", ran.stdout);
        ran.stdout
    }

    /// Runs the program, which succeeds and prints JSON.
    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(line)).unwrap()
    }

    /// Runs the program, which fails with exit code 1.
    pub(crate) fn fails(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, Some(1), "{line}: {} {}", ran.stdout, ran.stderr);
        assert!(ran.stderr.starts_with("qemu-img"), "{line}: {}", ran.stderr);
        ran.stderr
    }

    /// Runs a line that names no format: it is refused, and the file is not touched. With `-f`, it is done.
    pub(crate) fn guessed_then_named(&self, line: &str, file: &str, named: &str) -> String {
        let before = self.read(file);
        let told = self.fails(line);
        assert!(told.contains("the format was not specified") && told.contains("-f qcow2"), "{line}: {told}");
        assert!(before == self.read(file), "{line} touched {file}");
        self.ok(named)
    }
}

/// The words of a line; `""` is an empty one.
pub(crate) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace().map(|word| if word == "\"\"" { "" } else { word })
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
