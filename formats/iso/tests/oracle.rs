//! Discs that other programs make are claimed, whole, and described as they were asked for. Skipped where the programs are not
//! installed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use imgfmt_core::{DenyAll, Description, ErrorKind, FileStorage, Format, Head, Limits, MemoryStorage, OpenContext};
use imgfmt_iso::Iso;

#[test]
fn discs_of_genisoimage_are_what_they_were_made_as() {
    let folder = tempfile::tempdir().unwrap();
    let disc = folder.path().join("disc.iso");
    let made =
        ["-quiet", "-J", "-R", "-V", "My_Disc", "-publisher", "Some One", "-p", "Prepared", "-A", "Applied", "-o"];
    let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    if !run("genisoimage", &made, &[disc.to_str().unwrap(), tree]) {
        return;
    }
    let said = describe(&disc);
    assert_eq!(said.features, ["joliet", "rock-ridge"]);
    let volume = &said.details["volume"];
    for (name, value) in
        [("id", "My_Disc"), ("publisher", "SOME ONE"), ("preparer", "PREPARED"), ("application", "APPLIED")]
    {
        assert_eq!(volume[name].as_str().map(str::to_uppercase), Some(value.to_uppercase()), "{name}");
    }
    assert_eq!(said.details["joliet"]["volume-id"], "My_Disc");
    is_cut_with_a_word(&disc, 150 * 2048);
}

#[test]
fn volumes_of_mkudffs_are_what_they_were_made_as() {
    let folder = tempfile::tempdir().unwrap();
    let disc = folder.path().join("disc.udf");
    for (block, revision, nsr) in [("512", "2.01", 3), ("1024", "1.50", 2), ("2048", "1.02", 2), ("4096", "2.01", 3)] {
        std::fs::File::create(&disc).and_then(|file| file.set_len(6 << 20)).unwrap();
        let options =
            ["--media-type=hd", &format!("--blocksize={block}"), "--label=Große Disc", &format!("--udfrev={revision}")];
        if !run("mkudffs", &options, &[disc.to_str().unwrap()]) {
            return;
        }
        let said = describe(&disc);
        assert_eq!((said.subformat.as_deref(), said.creator.as_deref()), (Some("udf"), Some("*Linux UDFFS")));
        let udf = &said.details["udf"];
        assert_eq!(udf["logical-volume-id"], "Große Disc", "{block}");
        assert_eq!((&udf["revision"], udf["block-size"].to_string()), (&revision.into(), block.to_owned()));
        assert_eq!(udf["recognition"], format!("NSR0{nsr}"));
        is_cut_with_a_word(&disc, 3 << 20);
    }
}

/// Checks that a disc without its last `len` bytes is an error.
fn is_cut_with_a_word(disc: &Path, len: usize) {
    let bytes = std::fs::read(disc).expect("it is there");
    let storage = Arc::new(MemoryStorage::new(&bytes[..bytes.len().saturating_sub(len)]));
    let limits = Limits::default();
    let refused = Iso.open(storage, &OpenContext::new(&limits, &DenyAll)).err().expect("it is cut");
    assert_eq!(refused.kind(), ErrorKind::OutOfBounds, "{refused}");
}

/// What is said of a disc that nobody says is one.
fn describe(disc: &Path) -> Description {
    let storage = Arc::new(FileStorage::open(disc).expect("it is there"));
    let head = Head::read(storage.as_ref()).expect("it can be read");
    assert!(Iso.probe(&head).expect("it can be read").is_some(), "it is not claimed");
    let limits = Limits::default();
    Iso.open(storage.clone(), &OpenContext::new(&limits, &DenyAll)).expect("it is whole").image.describe()
}

/// Runs a program, if it is there.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn run(program: &str, options: &[&str], files: &[&str]) -> bool {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let Ok(output) = Command::new(program).args(options).args(files).env("PATH", path).output() else {
        eprintln!("skipped: {program} is not installed");
        return false;
    };
    assert!(output.status.success(), "{program} {options:?}: {}", String::from_utf8_lossy(&output.stderr));
    true
}
