//! The index of archives against the crate `tar`, and what only ours refuses.

use std::io::Read;

use crate::support::{archive, members};
use imgfmt_core::ErrorKind;
use imgfmt_ova::Tar;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

/// The regular files of an archive, as the crate `tar` reads it.
fn oracle(bytes: &[u8]) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut archive = tar::Archive::new(bytes);
    let mut files = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if !kind.is_dir() && !kind.is_pax_global_extensions() {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.push((name, content));
        }
    }
    Ok(files)
}

/// A header as `build` makes it, with a right checksum.
fn member(build: impl FnOnce(&mut tar::Header), data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(data.len() as u64);
    build(&mut header);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), data].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A regular file called `name`.
fn file(name: &str, data: &[u8]) -> Vec<u8> {
    member(|header| header.set_path(name).expect("a short name"), data)
}

/// A member of another kind.
fn other(kind: u8, name: &str, data: &[u8]) -> Vec<u8> {
    member(
        |header| {
            header.set_path(name).expect("a short name");
            header.set_entry_type(tar::EntryType::new(kind));
        },
        data,
    )
}

#[test]
fn long_names_and_pax_headers_are_about_the_next_member() {
    let long = "a/".repeat(80) + "name";
    let bytes = [
        other(b'g', "global", b"16 comment=abcd\n"),
        other(b'5', "folder/", b""),
        other(b'L', "././@LongLink", format!("{long}\0").as_bytes()),
        file("short", b"one"),
        other(b'x', "pax", b"14 path=other\n14 mtime=12.5\n"),
        file("short", b"two"),
        vec![0; 1024],
    ]
    .concat();
    let found = members(&Tar, &bytes).unwrap();
    assert_eq!(found, [(long, b"one".to_vec()), ("other".to_owned(), b"two".to_vec())]);
    assert_eq!(found, oracle(&bytes).unwrap());
}

#[test]
fn files_with_holes_read_as_they_were() {
    // Two pieces in the header and one in the block behind it, as GNU tar writes them.
    let mut data = vec![0; 512];
    data[..24].copy_from_slice(b"00000010000\x0000000000005\0");
    data[24..48].copy_from_slice(b"00000020000\x0000000000000\0");
    data.extend([b'a'; 512]);
    data.extend([b'b'; 1024]);
    data.extend([b'c'; 5]);
    let sparse = member(
        |header| {
            header.set_path("disk.raw").expect("a short name");
            header.set_entry_type(tar::EntryType::GNUSparse);
            header.set_size(512 + 1024 + 5);
            let header = header.as_gnu_mut().expect("a header of GNU");
            header.sparse[0].offset.copy_from_slice(b"00000001000\0");
            header.sparse[0].numbytes.copy_from_slice(b"00000001000\0");
            header.sparse[1].offset.copy_from_slice(b"00000004000\0");
            header.sparse[1].numbytes.copy_from_slice(b"00000002000\0");
            header.isextended[0] = 1;
            header.realsize.copy_from_slice(b"00000020000\0");
        },
        &data,
    );
    let found = members(&Tar, &sparse).unwrap();
    let mut disk = vec![0; 8192];
    disk[512..1024].fill(b'a');
    disk[2048..3072].fill(b'b');
    disk[4096..4101].fill(b'c');
    assert_eq!(found, [("disk.raw".to_owned(), disk)]);
    let padded = [sparse, vec![0; 1024]].concat();
    assert_eq!(found, oracle(&padded).unwrap());
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let (one, end) = (file("one", b"1"), vec![0; 1024]);
    let damaged = |at: usize| {
        let mut bytes = one.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (case, bytes, kind) in [
        ("a name twice", [one.clone(), file("./one", b"2")].concat(), ErrorKind::Malformed),
        ("a link", other(b'2', "link", b""), ErrorKind::Unsupported),
        ("a hard link", other(b'1', "link", b""), ErrorKind::Unsupported),
        ("a device", other(b'3', "null", b""), ErrorKind::Unsupported),
        ("an unknown kind", other(b'Z', "z", b""), ErrorKind::Unsupported),
        ("a folder with data", other(b'5', "folder", b"data"), ErrorKind::Malformed),
        ("a wrong checksum", damaged(0), ErrorKind::Malformed),
        ("no magic number", damaged(257), ErrorKind::Malformed),
        ("a single block of zeros", [&one[..], &[0; 512], &one].concat(), ErrorKind::Malformed),
        ("two sizes", [other(b'x', "x", b"9 size=2\n"), one.clone()].concat(), ErrorKind::Malformed),
        (
            "two pax headers",
            [other(b'x', "x", b"6 a=b\n"), other(b'x', "x", b"6 a=b\n"), one.clone()].concat(),
            ErrorKind::Malformed,
        ),
        ("a key twice", [other(b'x', "x", b"6 a=b\n6 a=c\n"), one.clone()].concat(), ErrorKind::Malformed),
        (
            "two names",
            [other(b'L', "l", b"x\0"), other(b'x', "x", b"9 path=y\n"), one.clone()].concat(),
            ErrorKind::Malformed,
        ),
        (
            "a pax header about nothing",
            [one.clone(), other(b'x', "x", b"6 a=b\n"), end.clone()].concat(),
            ErrorKind::Malformed,
        ),
        ("a pax link", [other(b'x', "x", b"13 linkpath=a"), one.clone()].concat(), ErrorKind::Malformed),
        ("a global path", [other(b'g', "g", b"9 path=y\n"), one.clone()].concat(), ErrorKind::Unsupported),
        ("a cut header", one[..300].to_vec(), ErrorKind::OutOfBounds),
        ("a cut member", one[..512].to_vec(), ErrorKind::OutOfBounds),
        ("an empty name", file("./.", b"")[..].to_vec(), ErrorKind::Malformed),
    ] {
        match members(&Tar, &bytes) {
            Err(error) => assert_eq!(error.kind(), kind, "{case}: {error}"),
            Ok(found) => assert_eq!((case, found.len()), ("an empty name", 1)),
        }
    }
}

#[test]
fn no_end_and_no_padding_is_no_harm() {
    let bytes = [file("one", b"1"), file("two", b"22")].concat();
    for bytes in
        [&bytes[..], &bytes[..bytes.len() - 510], &[&bytes[..], &[0; 512]].concat(), &[&bytes[..], &[0; 9728]].concat()]
    {
        assert_eq!(members(&Tar, bytes).unwrap().len(), 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn archives_read_as_another_reader_reads_them(
        files in prop::collection::btree_map("[a-z]{1,8}(/[a-z. ]{0,150}[a-z]){0,2}", prop::collection::vec(any::<u8>(), 0..1500), 1..6),
    ) {
        let entries: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let bytes = archive(&entries);
        let expected: Vec<_> = files.clone().into_iter().collect();
        prop_assert_eq!(&members(&Tar, &bytes).unwrap(), &expected);
        prop_assert_eq!(oracle(&bytes).unwrap(), expected);
    }

    #[test]
    fn damage_is_refused_or_read_as_another_reader_reads_it(
        files in prop::collection::btree_map("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..700), 1..4),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let entries: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let mut bytes = archive(&entries);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(found) = members(&Tar, &bytes) {
            prop_assert_eq!(found, oracle(&bytes).unwrap());
        }
        prop_assert!(members(&Tar, &bytes[..at / 512 * 512]).is_err() || at / 512 > 0);
    }
}
