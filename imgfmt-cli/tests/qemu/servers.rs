//! Servers that end with their test: NBD, and a Ceph cluster of the smallest kind.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::desk::Desk;

/// A server that ends with the test.
pub(crate) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Starts `program` with the words of `line` in the folder of `desk`, which `HERE` stands for, and waits until it has made
    /// `socket` there.
    pub(crate) fn start(desk: &Desk, program: &str, line: &str, socket: &str) -> Self {
        let line = &line.replace("HERE", &desk.folder());
        let child = desk.command(program, line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self(child);
        wait(&format!("{program} {line}"), || desk.path(socket).exists());
        server
    }
}

/// Whether all of `programs` are installed; where not, why the test is skipped is printed.
pub(crate) fn are_there(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        let required = std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_some_and(|value| value == "1");
        assert!(there || !required, "{program} is not installed");
        if !there {
            println!("skipped: {program} is not installed");
        }
        there
    })
}

/// Waits until something holds that `what` brings about.
fn wait(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A cluster with one monitor and one disk in memory, and a pool called `images`. It ends with the test.
pub(crate) struct Ceph {
    /// The folder of all that it writes.
    folder: tempfile::TempDir,
}

impl Ceph {
    /// Starts one; nothing, and the reason said, where Ceph is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !are_there(&["ceph-mon", "ceph-osd", "ceph", "rbd"]) {
            return None;
        }
        let ceph = Self { folder: tempfile::tempdir().unwrap() };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/qemu/ceph.sh");
        let output = Command::new("bash").arg(script).arg(ceph.folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(ceph)
    }

    /// The configuration file.
    pub(crate) fn conf(&self) -> PathBuf {
        self.folder.path().join("ceph.conf")
    }

    /// The key of `client.admin`.
    pub(crate) fn key(&self) -> String {
        let keyring = std::fs::read_to_string(self.folder.path().join("client.admin.keyring")).unwrap();
        keyring.lines().find_map(|line| line.trim().strip_prefix("key = ")).unwrap().to_owned()
    }

    /// What `rbd` answers to the words of `line`.
    pub(crate) fn rbd(&self, line: &str) -> String {
        let mut command = Command::new("rbd");
        let output = command.arg("--conf").arg(self.conf()).args(line.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Ceph {
    fn drop(&mut self) {
        for file in ["osd.0.pid", "mon.a.pid"] {
            if let Ok(pid) = std::fs::read_to_string(self.folder.path().join(file)) {
                let _ = Command::new("kill").arg("-9").arg(pid.trim()).status();
            }
        }
    }
}
