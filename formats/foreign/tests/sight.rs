//! Files of other formats are known by sight, refused by name, and never raw.

use std::sync::Arc;

use imgfmt_core::probe::probe;
use imgfmt_core::{DenyAll, ErrorKind, Format, Limits, MemoryStorage, Opener, Storage};
use imgfmt_foreign::ALL;

/// A file of 8 KiB with `magic` at byte `at`.
fn file(at: usize, magic: &[u8]) -> Arc<dyn Storage> {
    let mut bytes = vec![0; 8192];
    bytes[at..at + magic.len()].copy_from_slice(magic);
    Arc::new(MemoryStorage::new(bytes))
}

#[test]
fn every_format_is_known_and_refused() {
    let formats = ALL.map(|format| format as &dyn Format);
    let marks: [(&str, usize, &[u8]); 11] = [
        ("qed", 0, b"QED\0"),
        ("bochs", 0, b"Bochs Virtual HD Image"),
        ("cloop", 0, b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0"),
        ("dmg", 8192 - 512, b"koly"),
        ("ewf", 0, b"EVF\x09\x0d\x0a\xff\x00"),
        ("wim", 0, b"MSWIM\0\0\0"),
        ("vma", 0, b"VMA\0"),
        ("zip", 0, b"PK\x03\x04"),
        ("7z", 0, b"7z\xbc\xaf\x27\x1c"),
        ("rar", 0, b"Rar!\x1a\x07\x01\x00"),
        ("lz4", 0, &[0x04, 0x22, 0x4d, 0x18]),
    ];
    for (name, at, magic) in marks {
        let file = file(at, magic);
        let claims: Vec<_> = probe(&formats, file.as_ref()).unwrap().iter().map(|claim| claim.format.name()).collect();
        assert_eq!(claims, [name]);
        let limits = Limits::default();
        let error = Opener::new(&formats, &DenyAll, &limits).open_layer(file, None, None).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}");
        assert_eq!(error.format(), Some(name));
    }
}

#[test]
fn what_is_almost_one_is_none() {
    let formats = ALL.map(|format| format as &dyn Format);
    for (at, magic) in
        [(0, b"QEDx".as_slice()), (0, b"LUKS\xba\xbe\x00\x03"), (1, b"PK\x03\x04"), (0, b"#!/bin/sh\n#V2.0")]
    {
        assert!(probe(&formats, file(at, magic).as_ref()).unwrap().is_empty());
    }
    assert!(probe(&formats, &MemoryStorage::new(b"PK".as_slice())).unwrap().is_empty());
}
