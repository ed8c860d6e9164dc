//! The oracle: `qemu-img`, where it is installed.

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether the oracle is there.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
pub(crate) fn has_qemu_img() -> bool {
    let there = Command::new("qemu-img").arg("--version").stdout(Stdio::null()).status().is_ok();
    assert!(there || std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "qemu-img is not installed");
    if !there {
        eprintln!("skipped: qemu-img is not installed");
    }
    there
}

/// Runs `qemu-img` in `folder` and returns what it prints.
pub(crate) fn qemu_img(folder: &Path, args: &[&str]) -> Vec<u8> {
    run("qemu-img", folder, args)
}

/// Runs a program in `folder` and returns what it prints.
pub(crate) fn run(program: &str, folder: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).current_dir(folder).output().expect("it is installed");
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
    output.stdout
}
