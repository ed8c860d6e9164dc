//! A helper that fails, or falls silent, is an error; and nobody reads in the list of processes what it was told.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use imgfmt_core::convert::Cancel;
use imgfmt_core::{ErrorKind, Remote};
use imgfmt_rbd::{RbdAddress, RbdRemote};

/// A program that does what `script` says, in a folder of its own, in place of the helper.
fn helper(script: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("helper");
    std::fs::write(&program, format!("#!/bin/sh\ncd {}\n{script}\n", dir.path().display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (dir, program)
}

/// An address with a key.
fn address() -> RbdAddress {
    RbdAddress::parse("rbd:pool/image:id=me:key=SECRET").unwrap()
}

#[test]
fn the_address_is_told_to_the_helper_alone() {
    let (dir, program) = helper("tr '\\0' ' ' </proc/$$/cmdline >args; env >env; head -c 40 >told");
    let remote = RbdRemote::new(program, address());
    let error = remote.open().map(drop).unwrap_err();
    assert!(error.to_string().contains("the helper for rbd images fails"), "{error:?}");
    assert!(!format!("{error:?}").contains("SECRET"));
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("told"), "\0\0\0\x24read rbd:pool/image:id=me:key=SECRET");
    assert!(!read("args").contains("rbd:") && !read("env").contains("rbd:"), "{}", read("args"));
    remote.discard();
    assert!(read("told").contains("remove rbd:pool/image"));
}

#[test]
fn a_helper_that_says_nothing_ends_when_it_is_asked_to() {
    let (_dir, program) = helper("exec sleep 600");
    let cancel = Cancel::default();
    let remote = RbdRemote::new(program, address()).cancelled_by(cancel.clone());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| remote.open().map(drop));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!opened.is_finished(), "a cluster may take its time");
        cancel.cancel();
        assert_eq!(opened.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[test]
fn a_helper_that_is_not_there_or_ends_at_once_is_an_error() {
    let error = RbdRemote::new("/none/helper".into(), address()).open().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let (_dir, program) = helper("exit 0");
    assert_eq!(RbdRemote::new(program, address()).open().map(drop).unwrap_err().kind(), ErrorKind::Io);
}
