//! Signals end a conversion in order: the old file stays, and nothing else.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::desk::{Desk, Ran};

/// Starts a conversion that takes long, and returns once it writes. `before` is what comes before the program.
fn start(desk: &Desk, before: &[&str]) -> Child {
    desk.disk("a", 64 << 20, &(0..1024).map(|i| i << 16).collect::<Vec<_>>());
    desk.write("old", b"old");
    let line = format!("convert -m 1 -O qcow2 -c {} old", "a ".repeat(200));
    let program = desk.command(&line);
    let mut command = match before {
        [] => program,
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program.get_program()).args(program.get_args());
            command.current_dir(program.get_current_dir().unwrap());
            command
        }
    };
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while desk.names().len() < 3 {
        assert!(Instant::now() < deadline, "nothing is written");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

/// Sends a signal to a conversion.
fn kill(signal: &str, child: &Child) {
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
}

/// Sends a signal to a conversion and checks how it ends.
fn check(signal: &str, code: i32) {
    let number = code - 128;
    if is_ignored(number) {
        println!("skipped: this test was started with signal {number} ignored, and so is what it starts");
        return;
    }
    let desk = Desk::new();
    let child = start(&desk, &[]);
    kill(signal, &child);
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

#[test]
fn a_conversion_whose_terminal_goes_leaves_the_old_file_and_no_litter() {
    check("-HUP", 129);
}

/// Whether this process ignores a signal, as SIGHUP under `nohup`, or SIGINT in the background of a script.
fn is_ignored(number: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask >> (number - 1) & 1 != 0)
}

#[test]
fn a_conversion_that_waits_for_its_input_can_be_terminated() {
    let desk = Desk::new();
    let mut command = desk.command("convert -f raw -O raw - new");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take();
    let deadline = Instant::now() + Duration::from_secs(60);
    while desk.names().is_empty() {
        assert!(Instant::now() < deadline, "nothing is written");
        std::thread::sleep(Duration::from_millis(1));
    }
    kill("-TERM", &child);
    let ran = Ran::from(child.wait_with_output().unwrap());
    drop(stdin);
    assert_eq!(ran.code, Some(143), "{ran:?}");
    assert_eq!(desk.names(), [""; 0]);
}

/// Serves an export of 1 MiB at `socket` in the folder of `desk` to one client, and says nothing any more once it is asked for
/// anything.
fn fall_silent(desk: &Desk, socket: &str) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(desk.path(socket)).unwrap();
    std::thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        let greeting = [&b"NBDMAGIC\0\0\x42\x02\x81\x86\x12\x53"[..], &(1u64 << 20).to_be_bytes(), &[0, 0, 0, 5]];
        client.write_all(&[&greeting.concat()[..], &[0; 124]].concat()).unwrap();
        let _ = std::io::copy(&mut client, &mut std::io::sink());
    })
}

#[test]
fn one_signal_ends_a_conversion_whose_server_has_fallen_silent() {
    for (line, left) in [
        ("convert -f raw -O qcow2 nbd+unix:///?socket=s new", &["disk", "s"][..]),
        ("convert -f raw -O raw --salvage nbd+unix:///?socket=s new", &["disk", "s"]),
        ("qemu-img convert -f raw -O qcow2 nbd+unix:///?socket=s new", &["disk", "s"]),
        ("convert -n -f raw -O raw disk nbd+unix:///?socket=s", &["disk", "s"]),
        ("compare -f raw disk nbd+unix:///?socket=s", &["disk", "s"]),
    ] {
        let desk = Desk::new();
        desk.disk("disk", 1 << 20, &[0, 1 << 16]);
        let server = fall_silent(&desk, "s");
        let mut command = desk.command(line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        assert!(child.try_wait().unwrap().is_none(), "{line}");
        let begun = Instant::now();
        kill("-TERM", &child);
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert!(begun.elapsed() < Duration::from_secs(8), "{line}");
        assert_eq!(ran.code, Some(143), "{line}: {ran:?}");
        assert_eq!(desk.names(), left, "{line}");
        server.join().unwrap();
    }
}

#[test]
fn a_signal_that_is_ignored_from_the_start_stays_ignored() {
    let desk = Desk::new();
    let mut child = start(&desk, &["nohup"]);
    kill("-HUP", &child);
    std::thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none());
    kill("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(desk.names(), ["a", "old"]);
}
