//! No bytes of a server hurt a client: it gets what it asked for, or an error.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Write;
use std::os::unix::net::UnixStream;

use imgfmt_core::{Storage, Target};
use imgfmt_nbd::{NbdExport, Stream};
use proptest::prelude::*;

/// What a client makes of a server that says `bytes`, whatever it is asked, and hangs up.
fn survive(bytes: &[u8]) -> bool {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    // All of it fits into the socket's buffer.
    theirs.write_all(bytes).unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    let Ok(export) = NbdExport::on(Stream::Unix(ours), "") else { return false };
    let len = export.len().min(5000);
    let _ = export.segment(0);
    let _ = export.read_at(&mut vec![0; len as usize], 0);
    let _ = export.write_at(&[1; 10], 0);
    let _ = export.clear(0..100);
    let _ = export.set_len(9);
    let _ = export.sync();
    true
}

/// A greeting and answers to all options, of an export of 4096 bytes.
fn agreement() -> Vec<u8> {
    let mut bytes = b"NBDMAGICIHAVEOPT\0\x03".to_vec();
    let mut reply = |option: u32, kind: u32, data: &[u8]| {
        bytes.extend(0x0003_e889_0455_65a9_u64.to_be_bytes());
        for number in [option, kind, data.len() as u32] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(data);
    };
    reply(8, 1, &[]);
    reply(10, 4, b"\0\0\0\x01base:allocation");
    reply(10, 1, &[]);
    reply(7, 3, &[&[0, 0][..], &4096u64.to_be_bytes(), &[1, 0b0110_0101]].concat());
    reply(7, 3, &[&[0, 3][..], &[0, 0, 0, 1], &[0, 0, 16, 0], &[2, 0, 0, 0]].concat());
    reply(7, 1, &[]);
    bytes
}

proptest! {
    #![proptest_config(imgfmt_core::property_config!(256))]

    #[test]
    fn anything_after_the_handshake_is_survived(
        kinds in proptest::collection::vec((0..8u16, any::<bool>(), 0..5u64, 0..100u32, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let mut bytes = agreement();
        for (kind, error, cookie, len, rest) in kinds {
            bytes.extend(0x668e_33ef_u32.to_be_bytes());
            bytes.extend(1u16.to_be_bytes());
            bytes.extend((kind | if error { 1 << 15 } else { 0 }).to_be_bytes());
            bytes.extend(cookie.to_be_bytes());
            bytes.extend(len.to_be_bytes());
            bytes.extend(rest);
        }
        prop_assert!(survive(&bytes));
    }

    #[test]
    fn a_handshake_that_is_not_right_is_survived(at in 0..160usize, value in any::<u8>(), cut in 0..200usize) {
        let mut bytes = agreement();
        let at = at.min(bytes.len() - 1);
        bytes[at] = value;
        survive(&bytes);
        bytes.truncate(cut);
        survive(&bytes);
    }
}

#[test]
fn what_is_right_is_understood() {
    assert!(survive(&agreement()));
    let old = [&b"NBDMAGIC\0\0\x42\x02\x81\x86\x12\x53"[..], &4096u64.to_be_bytes(), &[0; 128]].concat();
    assert!(survive(&old));
    assert!(!survive(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert!(!survive(b""));
}
