//! What the program says, word for word: help and errors are kept in `tests/cli/golden/`, so that a change of them is seen.
//!
//! After a change that is meant: `IMGFMT_BLESS=1 cargo test -p imgfmt-cli golden`, and look at the difference.

use std::fmt::Write as _;
use std::path::Path;

use crate::desk::Desk;

/// Checks that `said` is what the file `name` holds.
fn check(name: &str, said: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/golden").join(name);
    if std::env::var_os("IMGFMT_BLESS").is_some() {
        std::fs::write(&path, said).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == said, "{name} differs; it is now:\n{said}");
}

/// Every command.
pub(crate) const COMMANDS: [&str; 18] = [
    "amend", "bench", "bitmap", "check", "commit", "compact", "compare", "convert", "create", "dd", "hash", "info",
    "map", "measure", "rebase", "replay", "resize", "snapshot",
];

#[test]
fn help_is_as_it_was() {
    let desk = Desk::new();
    check("imgfmt.txt", &desk.ok("--help"));
    for command in COMMANDS {
        let help = desk.ok(&format!("{command} --help"));
        assert!(help.contains("Examples:\n"), "{command} --help has no examples");
        check(&format!("{command}.txt"), &help);
    }
}

#[test]
fn every_command_is_in_the_list() {
    let listed = Desk::new().ok("--help");
    for command in COMMANDS {
        assert!(listed.contains(&format!("\n  {command} ")), "{command}");
    }
}

#[test]
fn options_of_every_format_are_as_they_were() {
    let desk = Desk::new();
    for format in ["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "ova"] {
        check(&format!("options-{format}.txt"), &desk.ok(&format!("create -f {format} -o help")));
    }
}

#[test]
fn every_command_lists_the_options_that_it_takes() {
    let desk = Desk::new();
    desk.ok("create disk.qcow2 1M");
    let of_new = desk.ok("create -f vmdk -o help");
    for line in
        ["convert -O vmdk -o help", "dd -O vmdk -o help", "measure -O vmdk -o help", "compact -f vmdk -o help x"]
    {
        assert_eq!(desk.ok(line), of_new, "{line}");
    }
    let of_opening = desk.ok("convert -f qcow2 --open-options help");
    for line in ["info", "check", "map", "measure", "hash", "bench", "commit", "compact", "snapshot"] {
        assert_eq!(desk.ok(&format!("{line} -f qcow2 --open-options help disk.qcow2")), of_opening, "{line}");
    }
    for line in ["resize disk.qcow2 2M", "rebase -b x disk.qcow2", "bitmap --add disk.qcow2 x", "dd if=disk.qcow2 of=x"]
    {
        assert_eq!(desk.ok(&format!("{line} -f qcow2 --open-options help")), of_opening, "{line}");
    }
    assert_eq!(desk.ok("compare -F qcow2 --second-open-options help disk.qcow2 x"), of_opening);
}

/// Command lines that are wrong, each in its own way.
const WRONG: &[&str] = &[
    "konvert a b",
    "convert",
    "convert only-one",
    "convert --compres a b",
    "info --unheard-of disk.raw",
    "convert -O qcow3 disk.raw out",
    "convert -O qcow2 -o clustersize=64k disk.raw out",
    "convert -O qcow2 -o cluster_size=3k disk.raw out",
    "convert -O iso disk.raw out",
    "convert -S 100 disk.raw out",
    "convert missing.raw out",
    "convert -f qcow2 disk.raw out",
    "info missing",
    "info -f qcow disk.raw",
    "create new.qcow2",
    "create new.qcow2 1X",
    "create -f qcow2 -o compresion_type=zstd new.qcow2 1M",
    "check -r some disk.raw",
    "check -r all disk.qcow2",
    "resize disk.qcow2 2M",
    "resize -f qcow2 disk.qcow2 512k",
    "resize -f qcow2 disk.qcow2 much",
    "snapshot -f qcow2 -a nothing disk.qcow2",
    "snapshot -f raw -c one disk.raw",
    "rebase -f raw -b other disk.raw",
    "commit -f qcow2 disk.qcow2",
    "amend -f qcow2 -o cluster_size=64k disk.qcow2",
    "bitmap -f qcow2 --remove disk.qcow2 nothing",
    "compare disk.raw missing",
    "dd if=disk.raw",
    "dd if=disk.raw of=out bs=0",
    "replay -f qcow2 disk.qcow2",
];

#[test]
fn errors_are_as_they_were() {
    let desk = Desk::new();
    desk.disk("disk.raw", 1 << 20, &[0]);
    desk.ok("convert disk.raw disk.qcow2");
    let mut said = String::new();
    for line in WRONG {
        let ran = desk.run(line);
        assert_ne!(ran.code, Some(0), "{line}");
        writeln!(said, "$ imgfmt {line}\n{}[{}]\n", ran.stderr, ran.code.unwrap()).unwrap();
    }
    check("errors.txt", &said.replace(&desk.folder(), "FOLDER"));
}
