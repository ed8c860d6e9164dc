//! Files of several members, what may stand between them, and what may not.

use crate::support::{WRAPPERS, open, pack, stream, unpack};
use imgfmt_core::{ErrorKind, Head, Limits, MemoryStorage, Wrapper};

#[test]
fn members_follow_each_other() {
    for wrapper in WRAPPERS {
        let (first, second) = (vec![1; 300_000], b"the second".to_vec());
        let packed = [pack(wrapper, &first), pack(wrapper, b""), pack(wrapper, &second)].concat();
        let content = [first, second].concat();
        assert_eq!(unpack(wrapper, &packed).unwrap(), content, "{}", wrapper.name());
        assert_eq!(stream(wrapper, &packed).unwrap(), content, "{}", wrapper.name());
    }
}

#[test]
fn what_follows_the_last_member_is_an_error_unless_the_format_pads() {
    for wrapper in WRAPPERS {
        let packed = pack(wrapper, b"content");
        for (tail, taken) in [
            (&[0; 4][..], ["gzip", "xz"].contains(&wrapper.name())),
            (&[0; 5], wrapper.name() == "gzip"),
            (b"garbage!", false),
            (b"\0\0\0\0garbage!", false),
            (&packed[..3], false),
        ] {
            let bytes = [&packed, tail].concat();
            for content in [unpack(wrapper, &bytes), stream(wrapper, &bytes)] {
                let case = format!("{} and {tail:?}", wrapper.name());
                match content {
                    Ok(content) => assert!(taken && content == b"content", "{case}"),
                    Err(error) => assert!(!taken && error.offset() >= Some(packed.len() as u64), "{case}: {error}"),
                }
            }
        }
    }
}

#[test]
fn padding_between_members_is_for_xz_alone() {
    for wrapper in WRAPPERS {
        let packed = pack(wrapper, b"content");
        let bytes = [&packed[..], &[0; 4], &packed].concat();
        match unpack(wrapper, &bytes) {
            Ok(content) => assert_eq!((wrapper.name(), &content[..]), ("xz", &b"contentcontent"[..])),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Malformed, "{error}"),
        }
    }
}

#[test]
fn a_file_that_ends_early_is_an_error_wherever_it_is_cut() {
    for wrapper in WRAPPERS {
        let packed = [pack(wrapper, b"one"), pack(wrapper, &[7; 3000])].concat();
        let first = pack(wrapper, b"one").len();
        for len in 0..packed.len() {
            let name = wrapper.name();
            for content in [unpack(wrapper, &packed[..len]), stream(wrapper, &packed[..len])] {
                match content {
                    Ok(content) => assert!(len == first && content == b"one", "{name} {len}"),
                    // A cut magic number is no magic number.
                    Err(error) => {
                        assert!(error.kind() == ErrorKind::OutOfBounds || len < first + 8, "{name} {len}: {error}")
                    }
                }
            }
        }
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let mut limits = Limits::default();
    limits.spool_bytes = 1 << 20;
    for wrapper in WRAPPERS {
        let packed = pack(wrapper, &vec![0; 8 << 20]);
        let error = open(wrapper, &packed, &limits).unwrap_err();
        assert_eq!((error.kind(), error.format()), (ErrorKind::LimitExceeded, Some(wrapper.name())), "{error}");
    }
}

#[test]
fn zeros_are_holes_where_they_are_unpacked() {
    for wrapper in WRAPPERS {
        let content = [vec![5; 1 << 20], vec![0; 4 << 20], vec![5; 100]].concat();
        let opened = open(wrapper, &pack(wrapper, &content), &Limits::default()).unwrap();
        assert_eq!(opened.len(), content.len() as u64);
        assert!(opened.segment(2 << 20).unwrap().hole, "{}", wrapper.name());
    }
}

#[test]
fn each_kind_is_known_by_its_first_bytes() {
    for wrapper in WRAPPERS {
        for content in [&b""[..], b"content"] {
            assert_eq!(claim(&pack(wrapper, content)).map(|found| found.name()), Some(wrapper.name()));
        }
    }
    let skippable = [&b"\x50\x2a\x4d\x18\x04\0\0\0abcd"[..], &pack(WRAPPERS[2], b"content")].concat();
    assert_eq!(claim(&skippable).map(|found| found.name()), Some("zstd"));
    assert_eq!(unpack(WRAPPERS[2], &skippable).unwrap(), b"content");
    for other in [&b""[..], b"BZh9 is how this text begins", b"\x50\x2a\x4d\x18\x04\0\0\0abcdefgh", b"\x1f\x8b\x07"] {
        assert!(claim(other).is_none(), "{other:?}");
    }
}

#[test]
fn windows_are_bounded() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    std::io::Write::write_all(&mut encoder, b"content").unwrap();
    let error = unpack(WRAPPERS[2], &encoder.finish().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");

    let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
    options.dict_size(256 << 20);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    std::io::Write::write_all(&mut encoder, b"content").unwrap();
    let error = unpack(WRAPPERS[1], &encoder.finish().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
}

/// The wrapper that claims `bytes`.
fn claim(bytes: &[u8]) -> Option<&'static dyn Wrapper> {
    let storage = MemoryStorage::new(bytes);
    let head = Head::read(&storage).unwrap();
    WRAPPERS.into_iter().find(|wrapper| wrapper.probe(&head).unwrap().is_some())
}
