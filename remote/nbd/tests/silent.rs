//! A server that fails or falls silent, at any point, keeps nobody waiting who does not want to wait, and nothing of what it has said
//! in part is taken for more than that.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use imgfmt_core::convert::Cancel;
use imgfmt_core::{ErrorKind, Storage, Target};
use imgfmt_nbd::{NbdAddress, NbdExport, Patience, Stream};

/// What the other side of a socket does.
type Script = fn(&mut UnixStream);

/// The head of a request: its command, its cookie, and its length.
fn request(socket: &mut UnixStream) -> Option<(u16, [u8; 8], u32)> {
    let mut head = [0; 28];
    socket.read_exact(&mut head).ok()?;
    let command = u16::from_be_bytes(head[6..8].try_into().unwrap());
    Some((command, head[8..16].try_into().unwrap(), u32::from_be_bytes(head[24..].try_into().unwrap())))
}

/// A simple reply without data.
fn simple(cookie: [u8; 8]) -> Vec<u8> {
    [&0x6744_6698_u32.to_be_bytes()[..], &[0; 4], &cookie].concat()
}

/// A client of an export of 64 MiB, behind whose handshake `script` is the server.
fn connect(script: Script) -> (NbdExport, Cancel, std::thread::JoinHandle<()>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let server = std::thread::spawn(move || {
        let greeting = [&b"NBDMAGIC\0\0\x42\x02\x81\x86\x12\x53"[..], &(64u64 << 20).to_be_bytes(), &[0, 0, 0, 5]];
        theirs.write_all(&[&greeting.concat()[..], &[0; 124]].concat()).unwrap();
        script(&mut theirs);
    });
    let patience = Patience::default();
    let cancel = patience.cancel.clone();
    (NbdExport::on_with(Stream::Unix(ours), "", patience).unwrap(), cancel, server)
}

/// Waits until the client has gone.
fn until_gone(socket: &mut UnixStream) {
    let _ = std::io::copy(socket, &mut std::io::sink());
}

/// Has four threads use an export whose server is `script`, asks for the end after a while, and checks that all of them get to know.
fn end(script: Script, work: fn(&NbdExport, u64) -> imgfmt_core::Result<()>) {
    let (export, cancel, server) = connect(script);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|turn| {
                scope.spawn({
                    let export = &export;
                    move || work(export, turn)
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        assert!(workers.iter().all(|worker| !worker.is_finished()), "a server may take its time");
        cancel.cancel();
        for worker in workers {
            assert_eq!(worker.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
        }
    });
    // What is half said is not gone on with.
    assert_eq!(export.read_at(&mut [0; 9], 0).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(export.sync().unwrap_err().kind(), ErrorKind::Cancelled);
    drop(export);
    assert!(begun.elapsed() < Duration::from_secs(8));
    server.join().unwrap();
}

/// Reads a part of an export.
fn read(export: &NbdExport, turn: u64) -> imgfmt_core::Result<()> {
    export.read_at(&mut vec![0; 100_000], turn << 20)
}

/// Writes more than any socket has room for.
fn write(export: &NbdExport, turn: u64) -> imgfmt_core::Result<()> {
    export.write_at(&vec![7; 16 << 20], turn << 24)
}

#[test]
fn a_wait_for_a_server_that_says_nothing_ends_when_it_is_asked_to() {
    end(until_gone, read);
}

#[test]
fn a_wait_for_the_rest_of_a_reply_ends_when_it_is_asked_to() {
    end(
        |socket| {
            let (_, cookie, len) = request(socket).unwrap();
            socket.write_all(&simple(cookie)).unwrap();
            socket.write_all(&vec![1; len as usize / 2]).unwrap();
            until_gone(socket);
        },
        read,
    );
}

#[test]
fn a_wait_for_a_server_that_takes_nothing_ends_when_it_is_asked_to() {
    end(
        |socket| {
            // The end of the connection is seen though nothing is read.
            let mut poll = || socket.write(&[]).is_ok() && !is_hung_up(socket);
            while poll() {
                std::thread::sleep(Duration::from_millis(20));
            }
        },
        write,
    );
}

/// Whether the other side has ended the connection, without reading what it has said before.
fn is_hung_up(socket: &UnixStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut ends = [PollFd::new(socket, PollFlags::empty())];
    let _ = poll(&mut ends, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    ends[0].revents().contains(PollFlags::HUP)
}

#[test]
fn a_wait_for_an_answer_of_the_handshake_ends_when_it_is_asked_to() {
    for said in [&b""[..], b"NBDMAG", b"NBDMAGICIHAVEOPT\0\x03"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = NbdAddress::parse(&format!("nbd://{}", listener.local_addr().unwrap())).unwrap();
        let patience = Patience::default();
        let cancel = patience.cancel.clone();
        let client = std::thread::spawn(move || NbdExport::open_with(&address, patience).map(drop));
        let mut server = listener.accept().unwrap().0;
        server.write_all(said).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(!client.is_finished());
        cancel.cancel();
        assert_eq!(client.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    }
}

#[test]
fn an_answer_of_the_handshake_that_does_not_come_is_an_error() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let patience = Patience { answer: Some(Duration::from_millis(100)), ..Patience::default() };
    let error = NbdExport::on_with(Stream::Unix(ours), "", patience).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("it does not answer"), "{error:?}");
}

#[test]
fn a_connection_that_is_cut_at_any_point_of_a_reply_is_an_error_for_all() {
    for script in [
        // Before it, within its head, and within what follows.
        (|socket| {
            let _ = request(socket);
        }) as Script,
        |socket| {
            let (_, cookie, _) = request(socket).unwrap();
            socket.write_all(&simple(cookie)[..9]).unwrap();
        },
        |socket| {
            let (_, cookie, len) = request(socket).unwrap();
            socket.write_all(&[&simple(cookie)[..], &vec![1; len as usize - 1]].concat()).unwrap();
        },
    ] {
        let (export, _, server) = connect(script);
        for _ in 0..2 {
            assert_eq!(export.read_at(&mut [0; 1000], 0).unwrap_err().kind(), ErrorKind::Io);
        }
        server.join().unwrap();
    }
}

#[test]
fn a_connection_that_is_cut_within_a_write_is_an_error_for_all_who_write() {
    let (export, _, server) = connect(|socket| {
        // All of one, and a part of the next.
        let (command, cookie, len) = request(socket).unwrap();
        assert_eq!(command, 1);
        socket.read_exact(&mut vec![0; len as usize]).unwrap();
        socket.write_all(&simple(cookie)).unwrap();
        let (_, _, len) = request(socket).unwrap();
        socket.read_exact(&mut vec![0; len as usize / 3]).unwrap();
    });
    std::thread::scope(|scope| {
        let write = |turn: u64| {
            scope.spawn({
                let export = &export;
                move || export.write_at(&vec![7; 4 << 20], turn << 24)
            })
        };
        let workers: Vec<_> = (0..4).map(write).collect();
        let failed: Vec<_> = workers.into_iter().filter_map(|worker| worker.join().unwrap().err()).collect();
        assert_eq!(failed.len(), 3);
        for error in failed {
            assert_eq!(error.kind(), ErrorKind::Io);
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(cause, "the server has closed the connection");
        }
    });
    assert_eq!(export.sync().unwrap_err().kind(), ErrorKind::Io);
    server.join().unwrap();
}

/// A server that negotiates structured replies for an export of 64 MiB, and then is `script`.
fn structured(script: Script) -> (NbdExport, std::thread::JoinHandle<()>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let server = std::thread::spawn(move || {
        let mut said = b"NBDMAGICIHAVEOPT\0\x03".to_vec();
        let mut reply = |option: u32, kind: u32, data: &[u8]| {
            said.extend(0x0003_e889_0455_65a9_u64.to_be_bytes());
            for number in [option, kind, data.len() as u32] {
                said.extend(number.to_be_bytes());
            }
            said.extend(data);
        };
        reply(8, 1, &[]);
        reply(10, 1, &[]);
        reply(7, 3, &[&[0, 0][..], &(64u64 << 20).to_be_bytes(), &[0, 5]].concat());
        reply(7, 1, &[]);
        theirs.write_all(&said).unwrap();
        // What the client has said so far: flags, and three options, the last of which is NBD_OPT_GO.
        theirs.read_exact(&mut [0; 4]).unwrap();
        for _ in 0..3 {
            let mut head = [0; 16];
            theirs.read_exact(&mut head).unwrap();
            let len = u32::from_be_bytes(head[12..].try_into().unwrap());
            theirs.read_exact(&mut vec![0; len as usize]).unwrap();
        }
        script(&mut theirs);
    });
    (NbdExport::on(Stream::Unix(ours), "").unwrap(), server)
}

/// A chunk of a structured reply that is not the last.
fn chunk(kind: u16, cookie: [u8; 8], payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&0x668e_33ef_u32.to_be_bytes()[..], &[0, 0], &kind.to_be_bytes(), &cookie, &len, payload].concat()
}

#[test]
fn a_reply_without_an_end_is_an_error() {
    for script in [
        (|socket| {
            let (_, cookie, _) = request(socket).unwrap();
            while socket.write_all(&chunk(0, cookie, &[])).is_ok() {}
        }) as Script,
        |socket| {
            let (_, cookie, _) = request(socket).unwrap();
            while socket.write_all(&chunk(1, cookie, &[&0u64.to_be_bytes()[..], &[7]].concat())).is_ok() {}
        },
        |socket| {
            let (_, cookie, _) = request(socket).unwrap();
            let hole = [&0u64.to_be_bytes()[..], &0u32.to_be_bytes()].concat();
            while socket.write_all(&chunk(2, cookie, &hole)).is_ok() {}
        },
        |socket| {
            let (_, cookie, _) = request(socket).unwrap();
            while socket.write_all(&chunk(1 << 15 | 1, cookie, &[0, 0, 0, 5, 0, 0])).is_ok() {}
        },
    ] {
        let (export, server) = structured(script);
        let error = export.read_at(&mut [0; 1000], 0).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("more parts than it can have"), "{cause}");
        server.join().unwrap();
    }
}

#[test]
fn a_reply_to_something_else_ends_the_connection() {
    for script in [
        // To a request that nobody made, to one twice, and a reply of a kind that was not agreed on.
        (|socket| {
            let _ = request(socket).unwrap();
            let _ = socket.write_all(&simple([0xff; 8]));
            until_gone(socket);
        }) as Script,
        |socket| {
            let (_, cookie, len) = request(socket).unwrap();
            let reply = [&simple(cookie)[..], &vec![1; len as usize]].concat();
            let _ = socket.write_all(&[&reply[..], &reply].concat());
            until_gone(socket);
        },
        |socket| {
            let _ = request(socket).unwrap();
            let _ = socket.write_all(&[0; 64]);
            until_gone(socket);
        },
    ] {
        let (export, _, server) = connect(script);
        let read = |_| export.read_at(&mut [0; 1000], 0);
        let error = (0..2).map(read).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), ErrorKind::Io);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("does not keep to the NBD protocol"), "{cause}");
        assert_eq!(export.write_at(&[1], 0).unwrap_err().kind(), ErrorKind::Io, "it is dead");
        server.join().unwrap();
    }
}
