//! What is served is what is read and written, whatever is asked for, in whatever order, by however many threads.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use imgfmt_core::{Error, ErrorKind, Medium, MemoryMedium, Result, Storage, Target};
use imgfmt_nbd::{NbdExport, Served, Stream};
use proptest::prelude::*;

/// A client of `medium`, and the thread that serves it.
fn served(medium: Arc<dyn Medium>, writable: bool) -> (NbdExport, JoinHandle<Result<()>>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let served = Served { medium, writable, threads: NonZeroUsize::new(3).unwrap() };
    let server = std::thread::spawn(move || served.serve(Stream::Unix(theirs)));
    (NbdExport::on(Stream::Unix(ours), "any").unwrap(), server)
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    Clear(u64, u64),
    Resize(u64),
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    let place = 0..6000u64;
    prop_oneof![
        (place.clone(), proptest::collection::vec(1..=255u8, 1..3000)).prop_map(|(at, bytes)| Step::Write(at, bytes)),
        (place.clone(), 0..3000u64).prop_map(|(at, len)| Step::Clear(at, at + len)),
        place.prop_map(Step::Resize),
        Just(Step::Sync),
    ]
}

proptest! {
    #![proptest_config(imgfmt_core::property_config!(64))]

    #[test]
    fn an_export_is_a_byte_vector(steps in proptest::collection::vec(step(), 1..20)) {
        let (export, server) = served(Arc::new(MemoryMedium::new(&[7; 1000])), true);
        let mut model = vec![7u8; 1000];
        for step in steps {
            match step {
                Step::Write(at, bytes) => {
                    export.write_at(&bytes, at).unwrap();
                    let end = at as usize + bytes.len();
                    model.resize(model.len().max(end), 0);
                    model[at as usize..end].copy_from_slice(&bytes);
                }
                Step::Clear(from, to) => {
                    export.clear(from..to).unwrap();
                    let end = model.len().min(to as usize);
                    model[end.min(from as usize)..end].fill(0);
                }
                Step::Resize(len) => {
                    export.set_len(len).unwrap();
                    model.resize(len as usize, 0);
                }
                Step::Sync => export.sync().unwrap(),
            }
            prop_assert_eq!(export.len(), model.len() as u64);
            let mut read = vec![1; model.len()];
            export.read_at(&mut read, 0).unwrap();
            prop_assert!(read == model);
            prop_assert!(export.read_at(&mut [0], model.len() as u64).is_err());
        }
        drop(export);
        server.join().unwrap().unwrap();
    }
}

#[test]
fn many_threads_get_what_each_asked_for() {
    let bytes: Vec<u8> = (0..4_000_000u32).map(|i| (i / 3 % 251) as u8).collect();
    let (export, server) = served(Arc::new(MemoryMedium::new(&bytes)), false);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (export, bytes) = (&export, &bytes);
            scope.spawn(move || {
                for turn in 0..200 {
                    let (at, len) = ((turn * 7919 + thread * 104_729) % 3_000_000, 1 + turn * 4999 % 900_000);
                    let mut read = vec![0; len];
                    export.read_at(&mut read, at as u64).unwrap();
                    assert!(read == bytes[at..at + len], "{thread} {turn}");
                }
            });
        }
    });
    drop(export);
    server.join().unwrap().unwrap();
}

#[test]
fn what_many_threads_write_behind_the_end_stays() {
    const PIECE: usize = 3000;
    let (export, server) = served(Arc::new(MemoryMedium::default()), true);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let export = &export;
            scope.spawn(move || {
                for turn in (thread..200).step_by(4) {
                    export.write_at(&[turn as u8 + 1; PIECE], (turn * PIECE) as u64).unwrap();
                }
            });
        }
    });
    let mut read = vec![0; 200 * PIECE];
    assert_eq!(export.len(), read.len() as u64);
    export.read_at(&mut read, 0).unwrap();
    assert!(read.chunks(PIECE).enumerate().all(|(turn, piece)| piece.iter().all(|byte| *byte == turn as u8 + 1)));
    drop(export);
    server.join().unwrap().unwrap();
}

#[test]
fn holes_of_a_file_are_holes_of_its_export() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(64 << 20).unwrap();
    let medium = imgfmt_core::FileMedium::open(file.path(), imgfmt_core::Locking::Write).unwrap();
    medium.write_at(&[5; 4096], 32 << 20).unwrap();
    let (export, server) = served(Arc::new(medium), true);
    let mut found = Vec::new();
    let mut at = 0;
    while at < export.len() {
        let segment = export.segment(at).unwrap();
        found.push((segment.hole, at));
        at += segment.len.get();
    }
    assert_eq!(found, [(true, 0), (false, 32 << 20), (true, (32 << 20) + 4096)]);
    assert!(export.segment(at).is_err());
    export.write_at(&[1], 0).unwrap();
    assert!(!export.segment(0).unwrap().hole, "what was written is no hole any more");
    drop(export);
    server.join().unwrap().unwrap();
}

#[test]
fn what_may_only_be_read_is_not_written() {
    let (export, server) = served(Arc::new(MemoryMedium::new(&[7; 1000])), false);
    assert!(!export.is_writable() && !export.is_resizable());
    for error in [export.write_at(&[1], 0), export.clear(0..9)] {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Refused);
    }
    assert!(export.set_len(1001).is_err());
    let mut read = [0; 1000];
    export.read_at(&mut read, 0).unwrap();
    assert_eq!(read, [7; 1000]);
    drop(export);
    server.join().unwrap().unwrap();
}

#[test]
fn a_refusal_says_why() {
    for kind in [ErrorKind::Missing, ErrorKind::Refused, ErrorKind::Io] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let error = Error::new(kind, "the pool is on fire").context("cannot open x");
        let server = std::thread::spawn(move || Served::refuse(Stream::Unix(theirs), &error));
        let error = NbdExport::on(Stream::Unix(ours), "x").unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().ends_with("; the server says: cannot open x: the pool is on fire"), "{error}");
        server.join().unwrap().unwrap();
    }
}

#[test]
fn a_server_that_goes_away_is_an_error_for_all_who_wait() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let twin = theirs.try_clone().unwrap();
    let medium = Arc::new(MemoryMedium::new(&[7; 1000]));
    let served = Served { medium, writable: true, threads: NonZeroUsize::MIN };
    let server = std::thread::spawn(move || served.serve(Stream::Unix(theirs)));
    let export = NbdExport::on(Stream::Unix(ours), "").unwrap();
    export.read_at(&mut [0; 10], 0).unwrap();
    twin.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(export.read_at(&mut [0; 10], 0).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(export.sync().unwrap_err().kind(), ErrorKind::Io);
    let _ = server.join().unwrap();
}
