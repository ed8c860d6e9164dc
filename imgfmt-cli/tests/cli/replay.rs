//! `imgfmt replay`: what it says, and what it leaves alone.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::desk::Desk;

/// Puts an image of the test data onto the desk; `None` where it cannot be unpacked.
fn put(desk: &Desk, name: &str) -> Option<Vec<u8>> {
    let shelf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/vhdx/valid");
    let Ok(output) = Command::new("gzip").arg("-dc").arg(shelf.join(format!("{name}.gz"))).output() else {
        println!("skipped: gzip is not installed");
        return None;
    };
    assert!(output.status.success());
    desk.write(name, &output.stdout);
    Some(output.stdout)
}

#[test]
fn a_log_is_replayed_once_and_the_disk_stays_as_it_was() {
    let desk = Desk::new();
    let Some(bytes) = put(&desk, "log-table.vhdx") else { return };
    desk.ok("convert log-table.vhdx before");
    assert_eq!(desk.read("log-table.vhdx"), bytes);
    assert_eq!(desk.ok("replay log-table.vhdx"), "replayed 8 sectors of 512 bytes\n");
    let after = desk.read("log-table.vhdx");
    assert_ne!(after, bytes);
    assert_eq!(desk.ok("replay -f vhdx log-table.vhdx"), "there is nothing to replay\n");
    assert_eq!(desk.read("log-table.vhdx"), after);
    desk.ok("convert log-table.vhdx after");
    assert!(desk.read("before") == desk.read("after"));
}

#[test]
fn a_format_without_a_log_is_said() {
    let desk = Desk::new();
    desk.disk("raw", 1 << 20, &[0]);
    desk.ok("convert -O qcow2 raw q");
    let said = desk.fails("replay q");
    assert_eq!(said, "imgfmt: cannot replay q: the format qcow2 has no log to replay\n");
    assert_eq!(desk.fails("replay -f raw raw"), "imgfmt: the format raw has no log to replay\n");
    assert_eq!(desk.fails("replay raw"), "imgfmt: cannot replay raw: no format claims this file\n");
    assert!(desk.fails("replay none").contains("No such file or directory"));
    assert!(desk.fails("replay -").contains("not in a pipe"));
}

#[test]
fn a_file_that_is_locked_is_left_alone() {
    let desk = Desk::new();
    let Some(bytes) = put(&desk, "log-table.vhdx") else { return };
    let file = File::options().read(true).write(true).open(desk.path("log-table.vhdx")).unwrap();
    // The byte that QEMU holds while a machine writes to its image.
    let lock = nix::libc::flock {
        l_type: i16::try_from(nix::libc::F_RDLCK).unwrap(),
        l_whence: 0,
        l_start: 201,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    for line in ["replay log-table.vhdx", "check -f vhdx -r all log-table.vhdx", "resize -f vhdx log-table.vhdx +1M"] {
        let said = desk.fails(line);
        assert!(said.contains("Failed to get \"write\" lock"), "{line}: {said}");
        assert!(said.contains("hint: another program uses the image; -U goes on all the same"), "{line}: {said}");
        assert_eq!(desk.read("log-table.vhdx"), bytes);
    }
    drop(file);
    desk.ok("replay log-table.vhdx");
}

#[test]
fn a_file_that_must_not_be_written_is_not() {
    let desk = Desk::new();
    let Some(bytes) = put(&desk, "log-table.vhdx") else { return };
    let path = desk.path("log-table.vhdx");
    std::fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    if File::options().write(true).open(&path).is_ok() {
        println!("skipped: permissions mean nothing to this user");
        return;
    }
    assert!(desk.fails("replay log-table.vhdx").contains("Permission denied"));
    assert_eq!(desk.read("log-table.vhdx"), bytes);
}
