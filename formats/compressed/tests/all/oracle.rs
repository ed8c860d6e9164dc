//! What the usual programs write reads back. Each is skipped where it is not installed; `IMGFMT_REQUIRE_ORACLES=1` makes that
//! a failure.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{WRAPPERS, open, stream, unpack};
use imgfmt_core::{Limits, StorageExt, Wrapper};

/// Bytes that shrink, bytes that do not, and zeros.
fn content() -> Vec<u8> {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut content: Vec<u8> = (0..400_000_u32).map(|i| (i / 100) as u8).collect();
    content.extend((0..300_000).map(|_| noise()));
    content.extend(vec![0; 500_000]);
    content.extend(b"the end");
    content
}

/// What a program makes of `content` when it gets it through a pipe; nothing where it is not installed.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn run(command: &[&str], content: &[u8]) -> Option<Vec<u8>> {
    let (program, args) = command.split_first().unwrap();
    let child =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else {
        println!("skipped: {program} is not installed");
        assert!(std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "{program} is not installed");
        return None;
    };
    let mut input = child.stdin.take().unwrap();
    let bytes = content.to_vec();
    let feeder = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}");
    Some(output.stdout)
}

/// Compares what each command writes with what it was given.
fn check(wrapper: &dyn Wrapper, commands: &[&[&str]]) {
    let content = content();
    for command in commands {
        let Some(packed) = run(command, &content) else { continue };
        assert!(unpack(wrapper, &packed).unwrap() == content, "{command:?}");
        assert!(stream(wrapper, &packed).unwrap() == content, "{command:?}");
    }
}

#[test]
fn what_gzip_writes_reads_back() {
    check(WRAPPERS[0], &[&["gzip", "-1"], &["gzip", "-9"]]);
}

#[test]
fn what_xz_writes_reads_back() {
    check(
        WRAPPERS[1],
        &[
            &["xz", "-1"],
            &["xz", "-9e"],
            &["xz", "--check=none"],
            &["xz", "--check=sha256", "--delta=dist=4", "--lzma2=preset=1"],
            &["xz", "--x86", "--lzma2=preset=0"],
            &["xz", "-T2", "--block-size=100KiB"],
        ],
    );
    let Some(packed) = run(&["xz", "-1", "-T2", "--block-size=100KiB"], &content()) else { return };
    let mut limits = Limits::default();
    limits.spool_bytes = 0;
    assert_eq!(open(WRAPPERS[1], &packed, &limits).unwrap().read_array::<7>(1_200_000).unwrap(), *b"the end");
}

#[test]
fn what_zstd_writes_reads_back() {
    check(
        WRAPPERS[2],
        &[
            &["zstd", "-1"],
            &["zstd", "-19", "--check"],
            &["zstd", "--no-check", "--long=27"],
            &["zstd", "-T2", "--rsyncable"],
        ],
    );
}

#[test]
fn what_bzip2_writes_reads_back() {
    check(WRAPPERS[3], &[&["bzip2", "-1"], &["bzip2", "-9"]]);
}
