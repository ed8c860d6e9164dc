//! What is taken for an appliance, and what is refused.

use crate::support::{archive, claims, envelope, members, members_beside, one_disk};
use imgfmt_core::conformance::Files;
use imgfmt_core::{DenyAll, ErrorKind, Limits, MemoryStorage, OpenContext, Storage, StorageExt, Wrapper};
use imgfmt_ova::{Ova, Tar};
use std::sync::Arc;

#[test]
fn disks_come_in_the_order_of_their_section() {
    let ovf = envelope(
        "<File ovf:id='1' ovf:href='one'/><File ovf:id='2' ovf:href='./two'/><File ovf:id='3' ovf:href='cd.iso'/>",
        "<Disk ovf:diskId='b' ovf:fileRef='2' ovf:capacity='2' ovf:capacityAllocationUnits='byte * 2^20'
            ovf:format='http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized'/>
         <Disk ovf:diskId='c' ovf:capacity='5'/>
         <Disk ovf:diskId='d' ovf:fileRef='3' ovf:capacity='0'/>
         <Disk ovf:diskId='a' ovf:fileRef='1' ovf:capacity='${size}' ovf:format='http://x/vhd'/>",
    );
    let file = archive(&[("one", b"first"), ("cd.iso", b"cd"), ("./two", b"second"), ("x/vm.ovf", ovf.as_bytes())]);
    assert!(claims(&Ova, &file) && !claims(&Tar, &file));
    let found = members(&Ova, &file).unwrap();
    assert_eq!(found, [("./two".to_owned(), b"second".to_vec()), ("one".to_owned(), b"first".to_vec())]);

    let (limits, storage) = (Limits::default(), Arc::new(MemoryStorage::new(file)) as Arc<dyn Storage>);
    let contents = Ova.contents(&storage, &OpenContext::new(&limits, &DenyAll)).unwrap();
    let facts: Vec<_> = contents.members.iter().map(|m| (m.capacity, m.format.as_deref())).collect();
    assert_eq!(facts, [(Some(2 << 20), Some("vmdk")), (None, Some("vhd"))]);
    assert_eq!(contents.details["empty-disks"][0], "c");
    assert_eq!(contents.details["other-files"][0], "cd.iso");
    assert_eq!(contents.details["virtual-system"]["name"], "vm");
}

#[test]
fn a_disk_may_be_in_parts() {
    let ovf = one_disk("ovf:href='disk' ovf:chunkSize='4' ovf:size='10'");
    let (one, two, three) =
        (("disk.000000000", &b"0123"[..]), ("disk.000000001", &b"4567"[..]), ("disk.000000002", &b"89"[..]));
    let file = archive(&[("vm.ovf", ovf.as_bytes()), three, one, two]);
    assert_eq!(members(&Ova, &file).unwrap()[0].1, b"0123456789");
    for wrong in [&[one, three][..], &[one, two], &[two, three], &[one, ("disk.000000001", b"45"), three]] {
        let file = archive(&[&[("vm.ovf", ovf.as_bytes())], wrong].concat());
        assert!(members(&Ova, &file).is_err());
    }
}

#[test]
fn hashes_of_the_manifest_are_compared() {
    let ovf = one_disk("ovf:href='disk'");
    let sum = |text: &str| format!("SHA1(disk)= {text}\n");
    let (right, wrong) =
        (sum("a9993e364706816aba3e25717850c26c9cd0d89d"), sum("a9993e364706816aba3e25717850c26c9cd0d89e"));
    let with =
        |manifest: &str| archive(&[("vm.ovf", ovf.as_bytes()), ("vm.mf", manifest.as_bytes()), ("disk", b"abc")]);
    assert_eq!(members(&Ova, &with(&right)).unwrap()[0].1, b"abc");
    let error = members(&Ova, &with(&wrong)).unwrap_err();
    assert!(error.to_string().contains("disk is not what the manifest says"), "{error}");
    let error = members(&Ova, &with("SHA1(vm.ovf)= a9993e364706816aba3e25717850c26c9cd0d89d")).unwrap_err();
    assert!(error.to_string().contains("vm.ovf is not what the manifest says"), "{error}");
    assert!(members(&Ova, &with("nonsense")).is_err());
}

#[test]
fn a_description_opens_the_files_beside_it_through_the_gate() {
    let ovf = one_disk("ovf:href='my%20disk'");
    assert!(claims(&Ova, ovf.as_bytes()));
    let mut files = Files::default();
    assert_eq!(members_beside(&Ova, ovf.as_bytes(), &files).unwrap_err().kind(), ErrorKind::Missing);
    files.add("my disk", b"content".to_vec());
    assert_eq!(members_beside(&Ova, ovf.as_bytes(), &files).unwrap()[0].1, b"content");
    files.add("vm.mf", b"SHA1(my disk)= a9993e364706816aba3e25717850c26c9cd0d89d".to_vec());
    assert_eq!(members_beside(&Ova, ovf.as_bytes(), &files).unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(members(&Ova, ovf.as_bytes()).unwrap_err().kind(), ErrorKind::Refused);
}

#[test]
fn what_cannot_be_right_is_refused() {
    let in_archive = |ovf: &str| archive(&[("vm.ovf", ovf.as_bytes()), ("disk", b"abc"), ("etc/shadow", b"secret")]);
    let deep = format!("<Envelope xmlns='http://schemas.dmtf.org/ovf/envelope/1'>{}</Envelope>", "<a>".repeat(100));
    for (ovf, kind) in [
        (one_disk("ovf:href='../disk'"), ErrorKind::Refused),
        (one_disk("ovf:href='/etc/shadow'"), ErrorKind::Refused),
        (one_disk("ovf:href='http://host/disk'"), ErrorKind::Refused),
        (one_disk("ovf:href='gone'"), ErrorKind::Missing),
        (one_disk("ovf:href='disk' ovf:size='4'"), ErrorKind::Malformed),
        (one_disk("ovf:href='disk' href='other'"), ErrorKind::Malformed),
        (one_disk("ovf:href='disk' ovf:size='x'"), ErrorKind::Malformed),
        (one_disk(""), ErrorKind::Malformed),
        (envelope("", "<Disk ovf:diskId='d' ovf:fileRef='f'/>"), ErrorKind::Malformed),
        (
            envelope("<File ovf:id='f' ovf:href='disk'/>", "<Disk ovf:diskId='d' ovf:fileRef='f' ovf:parentRef='b'/>"),
            ErrorKind::Unsupported,
        ),
        (envelope("<File ovf:id='f' ovf:href='disk'/><File ovf:id='f' ovf:href='x'/>", ""), ErrorKind::Malformed),
        (format!("<!DOCTYPE x [<!ENTITY a 'b'>]>{}", one_disk("ovf:href='disk'")), ErrorKind::Unsupported),
        (one_disk("ovf:href='&a;'"), ErrorKind::Malformed),
        (deep, ErrorKind::LimitExceeded),
        ("<Envelope/>".to_owned(), ErrorKind::Unsupported),
        ("no XML".to_owned(), ErrorKind::Malformed),
        (one_disk("ovf:href='disk'") + "<more/>", ErrorKind::Malformed),
    ] {
        let error = members(&Ova, &in_archive(&ovf)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error} of {ovf}");
    }
    let two = archive(&[("a.ovf", one_disk("").as_bytes()), ("b.ovf", one_disk("").as_bytes())]);
    assert_eq!(members(&Ova, &two).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn an_archive_without_a_description_holds_its_files() {
    let file = archive(&[("a.vmdk", b"a"), ("b", b"b")]);
    assert!(claims(&Tar, &file) && !claims(&Ova, &file));
    assert_eq!(members(&Tar, &file).unwrap(), [("a.vmdk".to_owned(), b"a".to_vec()), ("b".to_owned(), b"b".to_vec())]);
    let cloud = archive(&[("manifest.json", b"{}"), ("disk.raw", b"disk")]);
    assert_eq!(members(&Tar, &cloud).unwrap(), [("disk.raw".to_owned(), b"disk".to_vec())]);
    assert!(!claims(&Tar, b"") && !claims(&Tar, &[0; 1024]) && !claims(&Ova, b"<html>"));
}

#[test]
fn a_disk_is_read_where_it_is() {
    let file: Arc<dyn Storage> = Arc::new(MemoryStorage::new(archive(&[("disk", &[7; 1000])])));
    let limits = Limits::default();
    let disk = Tar.open(&file, 0, &OpenContext::new(&limits, &DenyAll)).unwrap();
    assert_eq!(disk.as_slice().unwrap(), [7; 1000]);
    assert_eq!(disk.read_array::<2>(998).unwrap(), [7; 2]);
}
