//! GNU tar writes what we read, and reads what we write. Skipped where it is not installed; `IMGFMT_REQUIRE_ORACLES=1`
//! makes that a failure.

use std::path::Path;
use std::process::Command;

use imgfmt_core::conformance::{Disk, Fill, Variant, write};
use imgfmt_ova::Tar;

use crate::support::members;
use crate::write::KIT;

/// Runs a program in `folder`; whether it is installed.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn run(folder: &Path, program: &str, args: &[&str]) -> bool {
    match Command::new(program).args(args).current_dir(folder).output() {
        Ok(output) => {
            assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(_) => {
            println!("skipped: {program} is not installed");
            assert!(std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "{program} is not installed");
            false
        }
    }
}

#[test]
fn what_gnu_tar_writes_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}disk.img", "folder/".repeat(30));
    std::fs::create_dir_all(folder.path().join(&long).parent().unwrap()).unwrap();
    std::fs::write(folder.path().join(&long), b"a long name").unwrap();
    let disk = std::fs::File::create(folder.path().join("holes.img")).unwrap();
    for at in 0..30 {
        std::os::unix::fs::FileExt::write_all_at(&disk, &[7; 5000], at << 20).unwrap();
    }
    disk.set_len(40 << 20).unwrap();
    let holes = std::fs::read(folder.path().join("holes.img")).unwrap();
    for format in ["gnu", "oldgnu", "pax"] {
        let format_arg = format!("--format={format}");
        if !run(folder.path(), "tar", &["-c", &format_arg, "-S", "-f", "out.tar", "holes.img", &long]) {
            return;
        }
        let file = std::fs::read(folder.path().join("out.tar")).unwrap();
        let found = members(&Tar, &file).unwrap();
        assert_eq!(found[0].0, "holes.img");
        assert!(found[0].1 == holes, "{format}");
        assert_eq!(found[1], (long.clone(), b"a long name".to_vec()), "{format}");
    }
}

#[test]
fn what_is_written_is_what_gnu_tar_and_sha256sum_take() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new("some", 1 << 20, &[(1000..300_000, Fill::Noise)]);
    std::fs::write(folder.path().join("out.ova"), write(&KIT, &Variant::new("name=vm"), &disk.image(), 2)).unwrap();
    if !run(folder.path(), "tar", &["-xf", "out.ova"]) {
        return;
    }
    let manifest = std::fs::read_to_string(folder.path().join("vm.mf")).unwrap();
    let sums: Vec<_> =
        manifest.lines().map(|line| line.replacen("SHA256(", "SHA256 (", 1).replacen(")= ", ") = ", 1)).collect();
    std::fs::write(folder.path().join("sums"), sums.join("\n") + "\n").unwrap();
    run(folder.path(), "sha256sum", &["--check", "--strict", "sums"]);
}
