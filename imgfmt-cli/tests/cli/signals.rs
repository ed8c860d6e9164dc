//! Signals end a conversion in order: the old file stays, and nothing else.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::desk::{Desk, Ran};

/// Starts a conversion that takes long, and returns once it writes.
fn start(desk: &Desk) -> Child {
    desk.disk("a", 64 << 20, &(0..1024).map(|i| i << 16).collect::<Vec<_>>());
    desk.write("old", b"old");
    let line = format!("convert -m 1 -O qcow2 -c {} old", "a ".repeat(200));
    let child = desk.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while desk.names().len() < 3 {
        assert!(Instant::now() < deadline, "nothing is written");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

/// Sends a signal to the conversion and checks how it ends.
fn check(signal: &str, code: i32) {
    let desk = Desk::new();
    let child = start(&desk);
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
    assert_eq!(ran.stderr, "imgfmt: cannot convert to old: the conversion was cancelled\n");
    assert_eq!(desk.names(), ["a", "old"]);
    assert_eq!(desk.read("old"), b"old");
}

#[test]
fn an_interrupted_conversion_leaves_the_old_file_and_no_litter() {
    check("-INT", 130);
}

#[test]
fn a_terminated_conversion_leaves_the_old_file_and_no_litter() {
    check("-TERM", 143);
}
