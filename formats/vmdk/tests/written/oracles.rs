//! Others read what is written here: `qemu-img` and libvmdk. Skipped where they are missing; `IMGFMT_REQUIRE_ORACLES=1`
//! makes that a failure.

use std::path::Path;
use std::process::{Command, Stdio};

use imgfmt_core::conformance::{Disk, Fill, disks};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    Backing, CreateRequest, DenyAll, Format, Identity, Image, Limits, OpenContext, Options, ParentName, Streamed,
};
use imgfmt_vmdk::Vmdk;
use sha2::{Digest, Sha256};

use crate::KINDS;
use crate::far::Far;
use crate::folder::{Folder, How};

#[test]
fn qemu_img_finds_every_kind_whole_and_the_same() {
    if !is_there("qemu-img", &["--version"]) {
        return;
    }
    for disk in small_disks() {
        for kind in KINDS {
            let folder = Folder::new();
            std::fs::write(folder.path("disk.raw"), sectors(&disk)).unwrap();
            folder.write("disk.vmdk", &disk.image(), kind).unwrap();
            qemu_img(folder.root(), &["check", "-q", "-f", "vmdk", "disk.vmdk"], kind);
            qemu_img(folder.root(), &["compare", "-q", "-f", "vmdk", "-F", "raw", "disk.vmdk", "disk.raw"], kind);
        }
    }
}

#[test]
fn qemu_img_reads_a_disk_of_many_extents() {
    if !is_there("qemu-img", &["--version"]) {
        return;
    }
    let far = Far::new((5 << 30) + 4096, &[0, (2047 << 20) - 512, 4 << 30, (5 << 30) - 100_000]);
    for kind in ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "vmfs", "streamOptimized"] {
        let folder = Folder::new();
        folder.write("far.vmdk", &far, &format!("subformat={kind}")).unwrap();
        folder.write("flat.vmdk", &far, "subformat=monolithicFlat").unwrap();
        qemu_img(folder.root(), &["check", "-q", "-f", "vmdk", "far.vmdk"], kind);
        qemu_img(folder.root(), &["compare", "-q", "-f", "vmdk", "-F", "raw", "far.vmdk", "flat-flat.vmdk"], kind);
    }
}

#[test]
fn qemu_img_reads_a_child_and_knows_its_parent() {
    if !is_there("qemu-img", &["--version"]) {
        return;
    }
    let folder = Folder::new();
    qemu_img(folder.root(), &["create", "-q", "-f", "vmdk", "base.vmdk", "3M"], "a base");
    let cid = folder.open("base.vmdk").unwrap().describe().specific["cid"].as_u64().unwrap();
    let backing = Backing {
        name: ParentName { name: "base.vmdk".into(), format: None },
        identities: vec![Identity { kind: "CID", value: format!("{cid:08x}") }],
        size: 3 << 20,
        ..Backing::default()
    };
    let child = Disk::new("child", 3 << 20, &[(0..70_000, Fill::Text)]);
    let how = How { options: "zeroed_grain=on", backing: Some(&backing), ..How::default() };
    folder.write_as("child.vmdk", &child.image(), &how).unwrap();
    std::fs::write(folder.path("child.raw"), &child.bytes).unwrap();
    qemu_img(folder.root(), &["compare", "-q", "-f", "vmdk", "-F", "raw", "child.vmdk", "child.raw"], "a child");
}

#[test]
fn what_qemu_img_writes_as_a_stream_comes_through_a_pipe() {
    if !is_there("qemu-img", &["--version"]) {
        return;
    }
    let disk = disks().into_iter().find(|disk| disk.name == "runs that fit no unit").unwrap();
    let folder = Folder::new();
    std::fs::write(folder.path("disk.raw"), sectors(&disk)).unwrap();
    let args = ["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", "disk.raw", "disk.vmdk"];
    qemu_img(folder.root(), &args, "a stream");
    let input = Box::new(std::fs::File::open(folder.path("disk.vmdk")).unwrap());
    let (limits, gate) = (Limits::default(), DenyAll);
    let streamed = Vmdk.stream(input, &OpenContext::new(&limits, &gate)).unwrap();
    let Streamed::OnePass(mut stream) = streamed else { panic!("its tables come first, and its grains in order") };
    let options = Options::parse("subformat=streamOptimized").unwrap();
    let request = CreateRequest::new(stream.size().unwrap(), &options);
    let writer = Vmdk.create(folder.target("ours.vmdk".as_ref()), &request).unwrap();
    Convert::default().run_stream(stream.as_mut(), writer).unwrap();
    qemu_img(folder.root(), &["compare", "-q", "-f", "vmdk", "-F", "raw", "ours.vmdk", "disk.raw"], "a stream");
}

#[test]
fn libvmdk_reads_every_kind_to_the_same_bytes() {
    let python = std::env::var("IMGFMT_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    if !is_there(&python, &["-c", "import pyvmdk"]) {
        return;
    }
    for disk in small_disks() {
        for kind in KINDS {
            let folder = Folder::new();
            folder.write("disk.vmdk", &disk.image(), kind).unwrap();
            let output = Command::new(&python).args(["-c", LIBVMDK]).arg(folder.path("disk.vmdk")).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            let hash: String = Sha256::digest(sectors(&disk)).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(said.trim(), hash, "{kind}, {}: {words}", disk.name);
        }
    }
}

/// Disks of at least a byte that are read in little time.
fn small_disks() -> Vec<Disk> {
    let named = ["one byte more than a sector", "runs that fit no unit", "empty", "dense noise"];
    disks().into_iter().filter(|disk| named.contains(&disk.name)).collect()
}

/// The bytes of a disk in whole sectors.
fn sectors(disk: &Disk) -> Vec<u8> {
    let mut bytes = disk.bytes.clone();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Whether a program answers.
fn is_there(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = status.is_ok_and(|status| status.success());
    assert!(there || std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "{program} {args:?} does not answer");
    if !there {
        eprintln!("skipped: {program} {args:?} does not answer");
    }
    there
}

/// Runs `qemu-img` in `folder`.
fn qemu_img(folder: &Path, args: &[&str], name: &str) {
    let output = Command::new("qemu-img").args(args).current_dir(folder).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {args:?}: {} {words}", String::from_utf8_lossy(&output.stdout));
}

/// Prints the SHA-256 of the disk in the image that is the first argument.
const LIBVMDK: &str = "
import hashlib, sys, pyvmdk
handle = pyvmdk.handle()
handle.open(sys.argv[1])
handle.open_extent_data_files()
digest, left = hashlib.sha256(), handle.get_media_size()
while left:
    data = handle.read_buffer(min(left, 1 << 20))
    assert data
    digest.update(data)
    left -= len(data)
print(digest.hexdigest())
";
