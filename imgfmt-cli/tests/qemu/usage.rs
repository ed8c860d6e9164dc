//! The program's names, help and version.

use std::process::Command;

use crate::desk::{Desk, Ran};

#[test]
fn it_is_called_by_a_link_or_by_a_word() {
    let desk = Desk::new();
    let by_link = desk.ok("--version");
    let by_word = Command::new(env!("CARGO_BIN_EXE_imgfmt")).args(["qemu-img", "-V"]).output().unwrap();
    assert_eq!(by_link, Ran::from(by_word).stdout);
    assert!(by_link.starts_with("qemu-img version 10.0.2 (imgfmt "));
}

#[test]
fn every_command_has_help_with_every_option() {
    let desk = Desk::new();
    let top = desk.ok("--help");
    for command in [
        "amend", "bench", "bitmap", "check", "commit", "compare", "convert", "create", "dd", "info", "map", "measure",
        "rebase", "resize", "snapshot",
    ] {
        assert!(top.contains(&format!("\n  {command} ")), "{command}");
        let help = desk.ok(&format!("{command} --help"));
        assert_eq!(help, desk.ok(&format!("{command} -h")));
        let Ok(theirs) = Command::new("qemu-img").args([command, "--help"]).output() else { continue };
        let theirs = String::from_utf8(theirs.stdout).unwrap();
        // Options stand at the start of a line, and the values that follow are not of interest.
        let options = theirs.lines().map(str::trim_start).filter(|line| line.starts_with('-')).flat_map(|line| {
            line.split([',', ' ', ']']).map(str::trim).filter(|word| word.starts_with('-') && !word.starts_with("---"))
        });
        for option in options {
            // Two that qemu-img documents and does not have as it spells them.
            let option = match option {
                "--progres" => "--progress",
                "--target-options" => "--options",
                other => other,
            };
            assert!(help.contains(option), "{command}: {option}");
        }
    }
}

#[test]
fn lists_of_options_are_printed() {
    let desk = Desk::new();
    for line in [
        "create -f qcow2 -o help",
        "create -fqcow2 -o ? x",
        "convert -O qcow2 -o help",
        "convert -O qcow2 -o cluster_size=4k,help a b",
    ] {
        let list = desk.ok(line);
        for option in ["cluster_size=<size>", "lazy_refcounts=<bool (on/off)>", "backing_file=<str>", "size=<size>"] {
            assert!(list.contains(option), "{line}: {option}: {list}");
        }
    }
    assert!(desk.ok("amend -f qcow2 -o help").contains("refcount_bits"));
}
