//! `-` for a pipe: what comes and goes while it arrives, and what has to be kept first.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::desk::{Desk, Ran};

/// Runs `line` with the file `input` arriving through a pipe, and returns what leaves through another.
fn piped(desk: &Desk, line: &str, input: &str) -> (Option<i32>, Vec<u8>, String) {
    let mut child =
        desk.command(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let bytes = desk.read(input);
    let mut stdin = child.stdin.take().unwrap();
    // The program may stop reading early, and say why.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    (output.status.code(), output.stdout, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn formats_that_can_be_read_in_one_pass_arrive_through_a_pipe() {
    let desk = Desk::new();
    desk.disk("a", (9 << 20) + 512, &[0, 5 << 20, 9 << 20]);
    desk.ok("convert -f raw -O vmdk -o subformat=streamOptimized a stream.vmdk");
    for (format, input) in [("raw", "a"), ("vmdk", "stream.vmdk")] {
        for target in ["raw", "qcow2"] {
            let (code, printed, said) = piped(&desk, &format!("convert -f {format} -O {target} - out"), input);
            assert_eq!(
                (code, printed.as_slice(), said.as_str()),
                (Some(0), b"".as_slice(), ""),
                "{format} to {target}"
            );
            desk.ok(&format!("convert -f {target} -O raw out back"));
            assert!(desk.read("back") == desk.read("a"), "{format} to {target}");
        }
    }
}

#[test]
fn formats_that_can_be_written_in_one_pass_leave_through_a_pipe() {
    let desk = Desk::new();
    desk.disk("a", 9 << 20, &[0, 5 << 20]);
    for (options, format) in
        [("-O raw", "raw"), ("-O vmdk -o subformat=streamOptimized", "vmdk"), ("-O qcow2", "qcow2")]
    {
        let output = desk.command(&format!("convert -f raw {options} a -")).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{options}");
        desk.write("out", &output.stdout);
        desk.ok(&format!("convert -f {format} -O raw out back"));
        assert!(desk.read("back") == desk.read("a"), "{options}");
    }
}

#[test]
fn a_pipe_is_unwrapped_as_often_as_a_file_and_no_more() {
    let desk = Desk::new();
    desk.disk("0", 1 << 20, &[0]);
    for depth in 0..5 {
        let (from, to) = (depth.to_string(), (depth + 1).to_string());
        let packed = Command::new("zstd").args(["-q", &from, "-o", &to]).current_dir(desk.folder()).status();
        assert!(packed.unwrap().success());
    }
    assert_eq!(piped(&desk, "convert -O raw - out", "4").0, Some(0));
    assert!(desk.read("out") == desk.read("0"));
    let (code, _, said) = piped(&desk, "convert -O raw - other", "5");
    assert!(code != Some(0) && said.contains("wrapped more than 4 times"), "{said}");
}

#[test]
fn bytes_leave_while_others_have_yet_to_arrive() {
    let desk = Desk::new();
    let mut command = desk.command("convert -f raw -O raw - -");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let sent: Vec<u8> = (0..4u32 << 20).map(|i| (i % 251) as u8 + 1).collect();
    let feeder = std::thread::spawn(move || {
        stdin.write_all(&sent).unwrap();
        stdin
    });
    let mut first = vec![0; 2 << 20];
    stdout.read_exact(&mut first).unwrap();
    // Only now does the input end.
    drop(feeder.join().unwrap());
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(first.len() + rest.len(), 4 << 20);
    assert!(first.iter().chain(&rest).zip(0u32..).all(|(byte, i)| *byte == (i % 251) as u8 + 1));
}

#[test]
fn what_needs_the_whole_file_is_kept_first_and_that_is_said() {
    let desk = Desk::new();
    desk.disk("a", 3 << 20, &[1 << 20]);
    desk.ok("convert -f raw -O qcow2 a a.qcow2");
    let (code, _, said) = piped(&desk, "convert -O raw - out", "a.qcow2");
    assert_eq!(code, Some(0));
    assert!(said.starts_with("imgfmt: note: the input was kept in a temporary file first, because "), "{said}");
    assert!(desk.read("out") == desk.read("a"));
    let (code, _, said) = piped(&desk, "convert -q -O raw - out", "a.qcow2");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let (code, _, said) = piped(&desk, "convert --spool-limit 64k -O raw - none", "a.qcow2");
    assert_eq!(code, Some(1));
    assert!(said.contains("longer than 65536 bytes"), "{said}");
    assert!(!desk.names().contains(&"none".to_owned()));
}

#[test]
fn what_cannot_leave_in_order_is_refused_with_the_reason() {
    let desk = Desk::new();
    desk.disk("a", 3 << 20, &[1 << 20]);
    for options in
        ["-O qcow2 -c", "-O vhdx", "-O vhd -o subformat=dynamic", "-O vmdk", "-O vmdk -o subformat=monolithicFlat"]
    {
        let ran = Ran::from(desk.command(&format!("convert -f raw {options} a -")).output().unwrap());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{options}");
        assert!(ran.stderr.starts_with("imgfmt: cannot create -: "), "{options}: {}", ran.stderr);
    }
    assert!(desk.run("convert -f raw -O raw --progress percent a -").stderr.contains("goes to standard output"));
}

#[test]
fn a_redirected_file_is_the_file_that_it_is() {
    let desk = Desk::new();
    desk.disk("a", 3 << 20, &[1 << 20]);
    desk.ok("convert -f raw -O qcow2 a a.qcow2");
    let input = File::open(desk.path("a.qcow2")).unwrap();
    let ran = Ran::from(desk.command("convert -O raw - out").stdin(input).output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(desk.read("out") == desk.read("a"));
}

#[test]
fn an_input_that_is_known_by_its_end_is_not_raw() {
    let desk = Desk::new();
    desk.disk("a", 3 << 20, &[1 << 20]);
    desk.ok("convert -f raw -O vhd -o subformat=fixed a a.vhd");
    let (code, _, said) = piped(&desk, "convert -O raw - out", "a.vhd");
    assert_eq!(code, Some(1));
    assert!(said.contains("turns out to be vhd") && said.contains("name the format with -f"), "{said}");
    let (code, _, said) = piped(&desk, "convert -f vhd -O raw - out", "a.vhd");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(desk.read("out") == desk.read("a"));
}

#[test]
fn an_input_that_ends_early_leaves_nothing() {
    let desk = Desk::new();
    desk.disk("a", 3 << 20, &[0, 1 << 20]);
    desk.ok("convert -f raw -O vmdk -o subformat=streamOptimized a stream.vmdk");
    let whole = desk.read("stream.vmdk");
    desk.write("cut.vmdk", &whole[..whole.len() - 700]);
    let (code, _, said) = piped(&desk, "convert -f vmdk -O qcow2 - out", "cut.vmdk");
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(desk.names(), ["a", "cut.vmdk", "stream.vmdk"]);
}
