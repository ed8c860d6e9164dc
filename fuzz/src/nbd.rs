//! The other side of an NBD connection says what it likes.

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use imgfmt_core::{MemoryMedium, Storage, Target};
use imgfmt_nbd::{NbdExport, Served, Stream};

/// Asks for a little of an export, of a server that says `bytes` whatever it is asked.
///
/// # Panics
///
/// Where the sockets of this host do not work.
pub fn talk_to_nbd_client(bytes: &[u8]) {
    // Every other server begins as one should, so that what follows is reached.
    let (begin, rest) = match bytes.split_first() {
        Some((first, rest)) if first % 2 == 1 => (agreement(), rest),
        _ => (Vec::new(), bytes),
    };
    saying(&[&begin, rest].concat(), ask);
}

/// Asks for a little of what is at the other end of `stream`.
fn ask(stream: Stream) {
    let Ok(export) = NbdExport::on(stream, "") else { return };
    let mut buffer = vec![0; usize::try_from(export.len().min(MAX_READ)).unwrap_or(0)];
    let _ = (export.segment(0), export.read_at(&mut buffer, 0), export.read_at(&mut [0; 7], 1));
    let _ = (export.write_at(&[1; 10], 0), export.clear(0..100), export.set_len(9), export.sync());
    let _ = export.segment(5);
}

/// Serves a little disk to a client that says `bytes` whatever it is answered.
///
/// # Panics
///
/// Where the sockets of this host do not work, and where the disk has grown beyond all bounds.
pub fn talk_to_nbd_server(bytes: &[u8]) {
    let served =
        Served { medium: Arc::new(MemoryMedium::new(&[7; 4096])), writable: false, threads: NonZeroUsize::MIN };
    saying(bytes, |stream| drop(served.serve(stream)));
    assert_eq!(served.medium.len(), 4096, "what may not be written stays");
}

/// What a server says in a handshake: all that a client may ask for, of an export of 4096 bytes in blocks of one.
fn agreement() -> Vec<u8> {
    let mut bytes = b"NBDMAGICIHAVEOPT\0\x03".to_vec();
    let mut reply = |option: u32, kind: u32, data: &[u8]| {
        bytes.extend(0x0003_e889_0455_65a9_u64.to_be_bytes());
        for number in [option, kind, u32::try_from(data.len()).unwrap_or(0)] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(data);
    };
    reply(8, 1, &[]);
    reply(10, 4, b"\0\0\0\x01base:allocation");
    reply(10, 1, &[]);
    reply(7, 3, &[&[0, 0][..], &4096u64.to_be_bytes(), &[3, 0b0110_0101]].concat());
    reply(7, 3, &[&[0, 3][..], &[0, 0, 0, 1], &[0, 0, 16, 0], &[2, 0, 0, 0]].concat());
    reply(7, 1, &[]);
    bytes
}

/// Hands `act` the end of a socket, at the other end of which `bytes` are said, and all that comes is swallowed. Does nothing
/// where they are too many for the socket.
fn saying(bytes: &[u8], act: impl FnOnce(Stream)) {
    if bytes.len() > MAX_SAID {
        return;
    }
    let (ours, mut theirs) = UnixStream::pair().expect("sockets can be made");
    theirs.write_all(bytes).expect("it fits into the socket's buffer");
    theirs.shutdown(std::net::Shutdown::Write).expect("it is open");
    std::thread::scope(|scope| {
        // It ends when `act` has let go of the other end.
        let listener = scope.spawn(move || theirs.read_to_end(&mut Vec::new()));
        act(Stream::Unix(ours));
        // Until nothing of the thread is left that could be taken for a leak.
        listener.join().expect("it does not panic").ok();
    });
}

/// Bytes that are read at once, at most.
const MAX_READ: u64 = 64 << 10;
/// Bytes that a socket takes without anybody reading them.
const MAX_SAID: usize = 64 << 10;
