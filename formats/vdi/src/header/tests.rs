//! Every rule of the header, and how it is told.

use imgfmt_core::{ErrorKind, MemoryStorage};

use super::*;

/// The header of a dynamic disk of 5 MiB in blocks of 1 MiB.
fn valid() -> [u8; HEAD_LEN] {
    let mut head = [0; HEAD_LEN];
    head[SIGNATURE_AT..][..4].copy_from_slice(&SIGNATURE);
    for (at, value) in [
        (VERSION_AT, VERSION),
        (HEADER_LEN_AT, 400),
        (TYPE_AT, 1),
        (MAP_OFFSET_AT, 512),
        (DATA_OFFSET_AT, 1024),
        (DISK_SIZE_AT, 5 << 20),
        (BLOCK_LEN_AT, 1 << 20),
        (BLOCKS_AT, 5),
    ] {
        put(&mut head, at, value);
    }
    head[UUID_CREATE_AT..][..16].copy_from_slice(&std::array::from_fn::<u8, 16, _>(|n| u8::try_from(n).unwrap()));
    head
}

fn put(head: &mut [u8; HEAD_LEN], at: usize, value: u32) {
    head[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn a_valid_header_is_what_it_says() {
    let header = Header::parse(&valid(), &Limits::default()).unwrap();
    assert_eq!((header.kind, header.disk_size, header.stride()), (ImageType::Dynamic, 5 << 20, 1 << 20));
    assert_eq!(header.create.to_string(), "03020100-0504-0706-0809-0a0b0c0d0e0f");
    assert!(header.linkage.is_nil());
}

#[test]
fn every_broken_rule_names_its_field_and_byte() {
    use ErrorKind::{LimitExceeded, Malformed, Unsupported};
    for (at, value, kind, name) in [
        (SIGNATURE_AT, 1, Malformed, "u32Signature"),
        (VERSION_AT, 0x0000_0002, Unsupported, "u32Version"),
        (VERSION_AT, 0x0002_0000, Unsupported, "u32Version"),
        (HEADER_LEN_AT, 383, Malformed, "cbHeader"),
        (HEADER_LEN_AT, u32::MAX, Malformed, "offBlocks"),
        (TYPE_AT, 0, Malformed, "u32Type"),
        (TYPE_AT, 3, Unsupported, "u32Type"),
        (MAP_OFFSET_AT, 471, Malformed, "offBlocks"),
        (DATA_OFFSET_AT, 531, Malformed, "offData"),
        (DISK_SIZE_AT, (5 << 20) + 1, Malformed, "cBlocks"),
        (DISK_SIZE_AT + 4, 1 << 31, LimitExceeded, "cbDisk"),
        (BLOCK_LEN_AT, 0, Malformed, "cbBlock"),
        (BLOCK_LEN_AT, 256, Malformed, "cbBlock"),
        (BLOCK_LEN_AT, 3 << 20, Malformed, "cbBlock"),
        (BLOCKS_AT, 4, Malformed, "cBlocks"),
        (UUID_LINKAGE_AT, 9, Malformed, "uuidLinkage"),
    ] {
        let mut head = valid();
        put(&mut head, at, value);
        let error = Header::parse(&head, &Limits::default()).unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (kind, Some(name)), "{error}");
    }
}

#[test]
fn every_cut_of_a_header_is_out_of_bounds() {
    for len in 0..HEAD_LEN {
        let error = Header::read(&MemoryStorage::new(&valid()[..len]), &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfBounds, "{len}");
    }
}
