//! Ironic and its agent: images onto disks of machines.

use crate::desk::{Desk, Ran, words};

fn desk() -> Desk {
    let desk = Desk::new();
    desk.disk("src.raw", 4 << 20, &[0, 1 << 20]);
    desk.ok("convert -f raw -O qcow2 src.raw src.qcow2");
    desk
}

#[test]
fn images_are_converted_within_bounds() {
    let desk = desk();
    for more in ["", "-t directsync", "-S 4k", "-S 0 -W", "-t none -W"] {
        let line = format!("convert -f qcow2 -O raw {more} src.qcow2 dst.raw");
        let mut command = desk.command("prlimit", "--as=2147483648 env MALLOC_ARENA_MAX=3 LC_ALL=C");
        let ran = Ran::from(command.arg(desk.program()).args(words(&line)).output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}");
        assert!(desk.read("dst.raw") == desk.read("src.raw"));
    }
}

#[test]
fn partitions_are_files_too() {
    let desk = desk();
    desk.ok("convert -O raw -S 0 -f qcow2 src.qcow2 dst.raw");
    assert!(desk.read("dst.raw") == desk.read("src.raw"));
    let ran = desk
        .command("env", "LC_ALL=C LANG=C")
        .arg(desk.program())
        .args(words("info dst.raw --output=json -f raw"))
        .output();
    assert_eq!(ran.unwrap().status.code(), Some(0));
}

#[test]
fn a_device_has_to_be_one() {
    let desk = desk();
    for line in [
        "convert -O host_device -t directsync -S 0 -f qcow2 -W src.qcow2 dst.raw",
        "convert -f qcow2 -t directsync -O host_device src.qcow2 dst.raw",
    ] {
        let told = desk.fails(line);
        assert!(told.contains("host_device") && told.contains("No such file or directory"), "{told}");
        desk.write("dst.raw", "a file");
        assert!(desk.fails(line).contains("either a character or block device"));
        std::fs::remove_file(desk.path("dst.raw")).unwrap();
    }
}
