//! A replay on disk leaves what a replay in memory shows, wherever the power is cut.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::conformance::read_all;
use imgfmt_core::{DenyAll, ErrorKind, Format, Limits, MemoryStorage, OpenContext, Replay, Replayed, Result};
use imgfmt_vhdx::Vhdx;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::build::{DATA_AT, File, LOG_AT, LOG_GUID, MIB, Shape, seal};
use crate::config;
use crate::log::{Change, changes, entry};
use crate::medium::{Fate, Medium};

/// The disk of a file.
fn disk(bytes: &[u8]) -> Result<Vec<u8>> {
    let limits = Limits::default();
    let opened = Vhdx.open(Arc::new(MemoryStorage::new(bytes)), &OpenContext::new(&limits, &DenyAll))?;
    Ok(read_all(opened.image.as_ref()))
}

/// Replays `bytes` on a medium that holds them.
fn replay(bytes: &[u8], medium: &Medium) -> Result<Option<Replayed>> {
    let limits = Limits::default();
    Vhdx.replay(Arc::new(MemoryStorage::new(bytes)), medium, &OpenContext::new(&limits, &DenyAll))
}

/// Replays `bytes` to the end.
fn replayed(bytes: &[u8]) -> (Option<Replayed>, Vec<u8>) {
    let medium = Medium::new(bytes, usize::MAX);
    let done = replay(bytes, &medium).unwrap();
    (done, medium.remains(|| panic!("something was not flushed")))
}

/// Checks that a replay of `bytes` which is cut after `cut` operations leaves the same disk, and can be done again.
/// Says whether it was cut.
fn check_cut(bytes: &[u8], expected: &[u8], cut: usize, keeps: impl FnMut() -> Fate) -> bool {
    let medium = Medium::new(bytes, cut);
    let was_cut = replay(bytes, &medium).is_err();
    let left = medium.remains(keeps);
    assert!(disk(&left).unwrap() == expected, "cut after {cut}: another disk");
    let (_, whole) = replayed(&left);
    assert!(disk(&whole).unwrap() == expected, "cut after {cut} and replayed: another disk");
    assert_eq!(replayed(&whole), (None, whole), "cut after {cut}: there is still something to replay");
    was_cut
}

/// The images on a shelf whose names begin so, unpacked.
fn shelf(name: &str, begin: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vhdx").join(name);
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let wanted = paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(begin));
    let unpack = |path: PathBuf| {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
        (path, bytes)
    };
    wanted.map(unpack).collect()
}

/// A header: its number, the two identifiers of file and data, and that of the log.
fn header(bytes: &[u8], at: usize) -> (u64, [&[u8]; 3]) {
    let number = u64::from_le_bytes(bytes[at + 8..at + 16].try_into().unwrap());
    (number, [&bytes[at + 16..at + 32], &bytes[at + 32..at + 48], &bytes[at + 48..at + 64]])
}

#[test]
fn every_log_is_replayed_wherever_it_is_cut() {
    let files = shelf("valid", "log-");
    assert!(files.len() > 10);
    for (path, bytes) in files {
        let expected = disk(&bytes).unwrap();
        let (done, whole) = replayed(&bytes);
        assert!(disk(&whole).unwrap() == expected, "{}", path.display());
        if done.is_none() {
            assert_eq!(whole, bytes);
            continue;
        }
        // Logs of very many writes are cut only at the ends.
        for cut in (0..12).chain([usize::MAX]) {
            let mut count = 0;
            let mut alternating = || {
                count += 1;
                [Fate::Kept, Fate::Lost, Fate::Torn][count % 3]
            };
            check_cut(&bytes, &expected, cut, || Fate::Lost);
            if !check_cut(&bytes, &expected, cut, &mut alternating) {
                break;
            }
        }
    }
}

#[test]
fn identifiers_and_numbers_are_as_the_specification_has_them() {
    for (path, bytes) in shelf("valid", "log-t") {
        let (_, whole) = replayed(&bytes);
        let (old, new) = ([header(&bytes, 64 << 10), header(&bytes, 128 << 10)], [64 << 10, 128 << 10]);
        let new = new.map(|at| header(&whole, at));
        let newest = old[0].0.max(old[1].0);
        assert_eq!(new[0].0 + new[1].0, 2 * newest + 5, "{}: three headers, the last two remain", path.display());
        for (_, [file, data, log]) in new {
            assert!(file != old[0].1[0] && file != old[1].1[0] && file == new[0].1[0]);
            assert_eq!(data, old[1].1[1]);
            assert_eq!(log, [0; 16]);
        }
    }
}

#[test]
fn what_cannot_be_opened_is_not_replayed_and_not_touched() {
    let files = ["malformed", "hostile"].map(|name| shelf(name, "")).concat();
    assert!(files.len() > 50);
    for (path, bytes) in files {
        let limits = Limits::default();
        let opened = Vhdx.open(Arc::new(MemoryStorage::new(bytes.as_slice())), &OpenContext::new(&limits, &DenyAll));
        let medium = Medium::new(&[], usize::MAX);
        match (opened, replay(&bytes, &medium)) {
            (Err(reading), Err(error)) => assert_eq!(reading.to_string(), error.to_string()),
            (Err(reading), Ok(done)) => panic!("{}: {done:?}, and reading says {reading}", path.display()),
            (Ok(_), Ok(Some(_))) => continue,
            (Ok(_), Ok(None) | Err(_)) => {}
        }
        assert_eq!(medium.operations(), 0, "{}", path.display());
    }
}

/// A file with a block of `0x11`, and a log of one entry with these bytes.
fn file_with(log: &[u8]) -> File {
    let mut file = File::new(&Shape { size: MIB, block: MIB, sector: 512, parent: false });
    let host = file.append(MIB, 0x11);
    file.entry(0, host | 6);
    file.headers(Some(LOG_GUID));
    file.put(LOG_AT, log);
    file
}

#[test]
fn a_log_that_would_lose_itself_is_refused() {
    for place in [0, 64 << 10, 128 << 10, 191 << 10 & !4095, LOG_AT, LOG_AT + MIB - 4096] {
        let mut log = entry(5, 0, &[Change { run: 0..1, fill: Some(0x22) }]);
        log[64 + 16..64 + 24].copy_from_slice(&place.to_le_bytes());
        seal(&mut log);
        let bytes = file_with(&log).0;
        assert!(disk(&bytes).is_ok());
        let medium = Medium::new(&[], usize::MAX);
        let error = replay(&bytes, &medium).unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Malformed, Some("FileOffset")), "{place}");
        assert_eq!(medium.operations(), 0);
    }
}

#[test]
fn the_only_good_header_is_never_at_risk() {
    let bytes = file_with(&entry(5, 0, &[Change { run: 0..1, fill: Some(0x22) }])).0;
    for damaged in [64 << 10, 128 << 10] {
        let mut bytes = bytes.clone();
        bytes[damaged..damaged + 4096].fill(0);
        let expected = disk(&bytes).unwrap();
        for cut in 0..9 {
            check_cut(&bytes, &expected, cut, || Fate::Torn);
        }
    }
}

#[test]
fn a_header_that_nothing_can_follow_is_refused() {
    let mut file = file_with(&entry(5, 0, &[Change { run: 0..1, fill: Some(0x22) }]));
    let mut header = file.0[64 << 10..][..4096].to_vec();
    header[8..16].copy_from_slice(&(u64::MAX - 2).to_le_bytes());
    seal(&mut header);
    file.put(64 << 10, &header);
    let medium = Medium::new(&[], usize::MAX);
    assert_eq!(replay(&file.0, &medium).unwrap_err().field_name(), Some("SequenceNumber"));
    assert_eq!(medium.operations(), 0);
}

/// What becomes of each of some operations.
fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![Just(Fate::Kept), Just(Fate::Lost), Just(Fate::Torn)];
    proptest::collection::vec(fate, 64)
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn any_log_survives_any_cut(
        entries in proptest::collection::vec(proptest::collection::vec(changes(), 0..6), 1..4),
        cut in 0..24usize,
        fates in fates(),
        one_header in any::<Option<bool>>(),
    ) {
        let mut file = file_with(&[]);
        let mut at = LOG_AT;
        for (index, changes) in entries.iter().enumerate() {
            let bytes = entry(7 + index as u64, 0, changes);
            file.put(at, &bytes);
            at += bytes.len() as u64;
        }
        if let Some(second) = one_header {
            file.put(if second { 64 << 10 } else { 128 << 10 }, &[0; 4096]);
        }
        let expected = disk(&file.0).unwrap();
        let mut fates = fates.into_iter().cycle();
        check_cut(&file.0, &expected, cut, || fates.next().unwrap());
        assert_eq!(file.0.len() as u64, DATA_AT + MIB);
    }
}
