//! `imgfmt convert --salvage`: what can be had of a damaged image is written, and what is lost is told.

use crate::desk::Desk;

/// A desk with a disk, and the same as a VMDK image that was cut by 1000 bytes.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.disk("disk", 4 << 20, &[0, 1 << 20, 3 << 20]);
    desk.ok("convert -O vmdk disk whole");
    let bytes = desk.read("whole");
    desk.write("cut", &bytes[..bytes.len() - 1000]);
    desk
}

/// The disk without the last 1024 bytes of its last data, whose sectors the cut is in.
fn rescued(desk: &Desk) -> Vec<u8> {
    let mut bytes = desk.read("disk");
    bytes[(3 << 20) + 65_536 - 1024..(3 << 20) + 65_536].fill(0);
    bytes
}

#[test]
fn what_is_lost_is_told_and_nothing_else_is_lost() {
    let desk = desk();
    let before = desk.names();
    let told = desk.fails("convert cut out");
    assert!(told.contains("out of bounds") || told.contains("the file ends at byte"), "{told}");
    assert_eq!(desk.names(), before);
    let told = desk.fails("convert --salvage cut out");
    assert_eq!(told, "imgfmt: note: guest bytes 3210240..3211264 could not be read, and are zero now\n");
    assert!(desk.read("out") == rescued(&desk));
}

#[test]
fn a_whole_image_loses_nothing() {
    let desk = desk();
    assert_eq!(desk.ok("convert --salvage whole out"), "");
    assert!(desk.read("out") == desk.read("disk"));
}

#[test]
fn what_is_rescued_can_be_verified_and_hashed() {
    let desk = desk();
    desk.write("wanted", &rescued(&desk));
    let ran = desk.run("convert --salvage --verify --hash sha256 -O qcow2 -c cut out");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let hash = desk.ok("hash -a sha256 wanted");
    assert_eq!(ran.stdout.trim().strip_prefix("sha256:"), hash.split_whitespace().next(), "{} {hash}", ran.stdout);
    desk.ok("compare out wanted");
}

#[test]
fn a_stream_is_taken_as_far_as_it_goes() {
    let desk = desk();
    desk.ok("convert -O vmdk -o subformat=streamOptimized disk stream");
    let bytes = desk.read("stream");
    desk.write("short", &bytes[..bytes.len() - 1600]);
    assert!(desk.fails("convert -f vmdk --salvage short out").contains("cut short"));
    // A file that was redirected would be opened as the file that it is.
    let script = format!("cat short | {} convert -f vmdk --salvage - out", env!("CARGO_BIN_EXE_imgfmt"));
    let output = std::process::Command::new("sh").args(["-c", &script]).current_dir(desk.path("")).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("could not be read, and are zero now"), "{told}");
    let (read, disk) = (desk.read("out"), desk.read("disk"));
    assert!(read.len() == disk.len() && read[..2 << 20] == disk[..2 << 20]);
}
