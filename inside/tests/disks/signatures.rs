//! Signatures whose makers need devices, or are not for Linux: from their documents.

use imgfmt_inside::{Class, Signature};

use crate::common::look_at;

/// What is expected of a volume: its kind, class, version, label and identifier.
type Expected = (&'static str, Class, Option<&'static str>, Option<&'static str>, Option<&'static str>);

/// Looks at a volume of `len` bytes that has the given bytes at the given places.
fn look_for(len: usize, places: &[(usize, &[u8])], expected: Expected) {
    let mut volume = vec![0; len];
    for (at, bytes) in places {
        volume[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    let found = look_at(&volume);
    let [found] = found.signatures.as_slice() else { panic!("{expected:?}: {:?}", found.signatures) };
    let Signature { kind, class, version, label, uuid, .. } = found;
    assert_eq!((*kind, *class, version.as_deref(), label.as_deref(), uuid.as_deref()), expected);
}

/// Bytes from 1 on.
const ID: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
/// The same as a UUID.
const UUID: Option<&str> = Some("01020304-0506-0708-090a-0b0c0d0e0f10");
/// The same as `mdadm` writes it.
const MD_UUID: Option<&str> = Some("01020304:05060708:090a0b0c:0d0e0f10");
/// The magic number of Linux arrays and a version of 1.
const MD: &[u8] = &[0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0];

#[test]
fn members_of_arrays_are_found_wherever_their_superblock_is() {
    let len = 1 << 20;
    for (at, version) in [(4096, "1.2"), (0, "1.1"), (len - 8192, "1.0")] {
        let places: &[(usize, &[u8])] = &[(at, MD), (at + 16, ID), (at + 32, b"host:0")];
        look_for(len, places, ("linux-raid", Class::Raid, Some(version), Some("host:0"), MD_UUID));
    }
    // The end of an array of version 1.0 is counted from whole 4 KiB.
    let at = len - 8192;
    look_for(
        len + 512,
        &[(at, MD)],
        ("linux-raid", Class::Raid, Some("1.0"), None, Some("00000000:00000000:00000000:00000000")),
    );
    let at = len - 65_536;
    let places: &[(usize, &[u8])] = &[(at, &MD[..4]), (at + 20, &ID[..4]), (at + 52, &ID[4..])];
    look_for(len + 512, places, ("linux-raid", Class::Raid, Some("0.90"), None, MD_UUID));
}

#[test]
fn members_of_pools_and_groups_are_found() {
    let label: &[u8] = b"LABELONE\x01\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\0LVM2 001aBcDeFgHiJkLmNoPqRsTuVwXyZ012345";
    let id = Some("aBcDeF-gHiJ-kLmN-oPqR-sTuV-wXyZ-012345");
    look_for(100_000, &[(512, label)], ("lvm2", Class::Volume, None, None, id));
    let mut list =
        b"\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\0\0\x24\0\0\0\x20\0\0\0\x07version\0\0\0\0\x08\0\0\0\x01".to_vec();
    list.extend(b"\0\0\0\0\0\0\x13\x88\0\0\0\x24\0\0\0\x20\0\0\0\x04name\0\0\0\x09\0\0\0\x01\0\0\0\x04tank");
    look_for(1 << 20, &[(16_384, &list)], ("zfs-member", Class::Volume, None, Some("tank"), None));
    look_for(2 << 20, &[(1 << 20, b"\x0d\xd0\x01\xc0\x05")], ("vmfs-member", Class::Volume, Some("5"), None, None));
    let at = 2 << 20;
    let places: &[(usize, &[u8])] = &[(at, b"\x5e\xf1\xab\x2f\0\0\0\0\x06"), (at + 9, ID), (at + 29, b"datastore1")];
    look_for(3 << 20, places, ("vmfs", Class::FileSystem, Some("6"), Some("datastore1"), UUID));
}

#[test]
fn file_systems_of_others_are_found() {
    let file_system = Class::FileSystem;
    look_for(70_000, &[(3, b"-FVE-FS-")], ("bitlocker", Class::Encryption, None, None, None));
    look_for(70_000, &[(1024, b"H+\0\x04")], ("hfsplus", file_system, Some("4"), None, None));
    look_for(70_000, &[(1024, b"HX\0\x05")], ("hfsx", file_system, Some("5"), None, None));
    look_for(70_000, &[(1024, b"BD"), (1044, b"\0\0\x02\0")], ("hfs", file_system, None, None, None));
    look_for(70_000, &[(32, b"NXSB\0\x10\0\0"), (72, ID)], ("apfs", file_system, None, None, UUID));
    look_for(70_000, &[(9564, b"\x54\x19\x01\0")], ("ufs1", file_system, None, None, None));
    look_for(70_000, &[(66_908, b"\x19\x54\x01\x19")], ("ufs2", file_system, None, None, None));
    look_for(300_000, &[(263_516, b"\x19\x01\x54\x19")], ("ufs2", file_system, None, None, None));
    let label = 0x8256_4557_u32.to_le_bytes();
    look_for(70_000, &[(512, &label), (644, &label)], ("bsd-disklabel", Class::Volume, None, None, None));
    look_for(70_000, &[(8244, b"ReIsErFs")], ("reiserfs", file_system, Some("3.5"), None, None));
    look_for(70_000, &[(65_526, b"SWAP-SPACE")], ("swap", Class::Swap, Some("0"), None, None));
    let disc: &[(usize, &[u8])] = &[(32_769, b"BEA01"), (34_817, b"NSR02"), (36_865, b"TEA01")];
    look_for(70_000, disc, ("udf", file_system, Some("NSR02"), None, None));
}

#[test]
fn numbers_that_make_no_sense_are_no_signature() {
    for (at, bytes) in [
        (0, &b"XFSB\0\0\x10\x01"[..]),
        (0, b"LUKS\xba\xbe\0\x07"),
        (0, b"hsqs\0\0\0\0\0\0\0\0\0\0\x02\0"),
        (3, b"NTFS    \x01\x02"),
        (32, b"NXSB\0\x10\0\x01"),
        (1024, b"BD"),
        (1024, b"H+\0\x07"),
        (512, b"LABELONE"),
        (34_817, b"NSR02"),
    ] {
        let mut volume = vec![0; 70_000];
        volume[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(look_at(&volume).signatures, [], "{bytes:?}");
    }
}
