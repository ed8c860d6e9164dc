//! Encrypted images: what `qemu-img` makes of ours, and we of its. Skipped where it is not installed;
//! `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Fill, read_all};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    CreateRequest, DenyAll, FileStorage, FileTarget, Format, Image, Limits, OpenContext, Options, Result, Secrets,
};
use imgfmt_qcow2::Qcow2;
use serde_json::Value;

#[test]
fn what_qemu_img_encrypts_reads_back_and_is_described_alike() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = disk();
    std::fs::write(folder.path().join("disk.raw"), &disk.bytes).unwrap();
    for options in ENCRYPTIONS.iter().chain(&["cluster_size=512", "extended_l2=on", "compat=0.10", "hash-alg=sha1"]) {
        let options = full(options, "iter-time=10");
        let args = [SECRET, &["convert", "-f", "raw", "-O", "qcow2", "-o", &options, "disk.raw", "theirs.qcow2"]];
        qemu_img(folder.path(), "", &[&args[1][..1], args[0], &args[1][1..]].concat());
        let path = folder.path().join("theirs.qcow2");
        let image = open(&path, "abc").unwrap_or_else(|error| panic!("{options}: {error}"));
        check(image.as_ref(), &disk, &options);
        let said = qemu_img(folder.path(), "", &["info", "--output", "json", "theirs.qcow2"]).stdout;
        let said: Value = serde_json::from_slice(&said).unwrap();
        let ours = describe(&path);
        assert!(ours.encrypted && said["encrypted"] == true);
        assert_eq!(Value::Object(ours.specific), said["format-specific"]["data"], "{options}");
    }
}

#[test]
fn what_is_encrypted_here_is_right_to_qemu_img() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = disk();
    std::fs::write(folder.path().join("disk.raw"), &disk.bytes).unwrap();
    let more = ["cluster_size=512", "cluster_size=2M", "compat=0.10", "preallocation=metadata", "hash-alg=ripemd160"];
    for options in ENCRYPTIONS.iter().chain(&more) {
        let options = full(options, "iterations=1000");
        let path = folder.path().join("ours.qcow2");
        write(&path, &disk, &options).unwrap_or_else(|error| panic!("{options}: {error}"));
        let image = open(&path, "abc").unwrap_or_else(|error| panic!("{options}: {error}"));
        check(image.as_ref(), &disk, &options);
        let opened = "driver=qcow2,encrypt.key-secret=sec0,file.filename=ours.qcow2";
        let check = [&["check"], SECRET, &["--image-opts", opened]].concat();
        qemu_img(folder.path(), &options, &check);
        let compare = [&["compare"], SECRET, &["--image-opts", "driver=raw,file.filename=disk.raw", opened]].concat();
        qemu_img(folder.path(), &options, &compare);
    }
}

#[test]
fn compressed_clusters_of_an_encrypted_image_are_plain() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = disk();
    std::fs::write(folder.path().join("disk.raw"), &disk.bytes).unwrap();
    let options = full("encrypt.format=luks", "iter-time=10");
    let size = SIZE.to_string();
    let create = [&["create"], SECRET, &["-f", "qcow2", "-o", &options, "mixed.qcow2", &size]].concat();
    qemu_img(folder.path(), "", &create);
    let target = "driver=qcow2,encrypt.key-secret=sec0,file.filename=mixed.qcow2";
    let opts = ["--target-image-opts", "--image-opts", "-n", "-c", "driver=raw,file.filename=disk.raw", target];
    qemu_img(folder.path(), "", &[&["convert"], SECRET, &opts].concat());
    check(open(&folder.path().join("mixed.qcow2"), "abc").unwrap().as_ref(), &disk, "compressed");
}

/// Every cipher and mode that `qemu-img` knows.
const ENCRYPTIONS: &[&str] = &[
    "encrypt.format=aes",
    "encrypt.format=luks",
    "cipher-alg=aes-128",
    "cipher-alg=aes-192",
    "cipher-alg=aes-128,cipher-mode=cbc",
    "cipher-alg=aes-256,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256",
    "cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256",
    "cipher-alg=aes-128,cipher-mode=ctr",
    "cipher-alg=aes-128,cipher-mode=ecb",
    "cipher-alg=serpent-128",
    "cipher-alg=serpent-192",
    "cipher-alg=serpent-256,cipher-mode=cbc,ivgen-alg=plain",
    "cipher-alg=twofish-128,cipher-mode=cbc,hash-alg=sha512",
    "cipher-alg=twofish-192,ivgen-alg=plain",
    "cipher-alg=twofish-256,ivgen-alg=essiv,ivgen-hash-alg=sha256",
    "cipher-alg=cast5-128,cipher-mode=cbc",
];

/// Options with their long names, a secret, and little work for each passphrase.
fn full(options: &str, work: &str) -> String {
    let aes = options.contains("format=aes");
    let long = |name: &str| ["cipher-", "ivgen-", "hash-"].iter().any(|start| name.starts_with(start));
    let mut names: Vec<String> = options
        .split(',')
        .map(|option| if long(option) { format!("encrypt.{option}") } else { option.to_owned() })
        .collect();
    names.push("encrypt.key-secret=sec0".to_owned());
    if !aes {
        names.push(format!("encrypt.{work}"));
    }
    if !options.contains("format=") {
        names.push("encrypt.format=luks".to_owned());
    }
    names.join(",")
}

/// Opens an image with a passphrase.
fn open(path: &Path, passphrase: &str) -> Result<Box<dyn Image>> {
    let (mut options, mut secrets, limits) = (Options::new(), Secrets::new(), Limits::default());
    options.set("encrypt.key-secret", "sec0");
    secrets.add("sec0", passphrase);
    let context = OpenContext { options: &options, secrets: &secrets, ..OpenContext::new(&limits, &DenyAll) };
    Ok(Qcow2.open(Arc::new(FileStorage::open(path)?), &context)?.image)
}

/// Compares an image with the disk, whole and in reads that begin and end anywhere.
fn check(image: &dyn Image, disk: &Disk, name: &str) {
    assert!(read_all(image) == disk.bytes, "{name}: the bytes differ");
    for range in [0..1, 511..513, 65_535..66_500, 69_999..70_001, 199_000..SIZE - 1] {
        let mut part = vec![0xa5; range.len()];
        image.read_at(&mut part, range.start as u64).expect("it can be read anywhere");
        assert!(part == disk.bytes[range.clone()], "{name}: guest bytes {range:?} differ");
    }
}

/// What is said of an image without its secret.
fn describe(path: &Path) -> imgfmt_core::Description {
    let limits = Limits::default();
    let context = OpenContext { describe_only: true, ..OpenContext::new(&limits, &DenyAll) };
    let storage = Arc::new(FileStorage::open(path).expect("it is there"));
    Qcow2.open(storage, &context).expect("it needs no secret").image.describe()
}

/// Writes `disk` with these options.
fn write(path: &Path, disk: &Disk, options: &str) -> Result<()> {
    let options = Options::parse(options)?;
    let mut secrets = Secrets::new();
    secrets.add("sec0", "abc");
    let request = CreateRequest { secrets: &secrets, ..CreateRequest::new(SIZE as u64, &options) };
    let file = std::fs::File::create(path).expect("the folder is there");
    let writer = Qcow2.create(Arc::new(FileTarget::new(file)?), &request)?;
    Convert::default().run(&disk.image(), writer)?;
    Ok(())
}

/// A disk with text, noise, zeros and a tail that is no whole cluster.
fn disk() -> Disk {
    let runs = [
        (0..9000, Fill::Text),
        (65_536..70_000, Fill::Noise),
        (70_000..135_000, Fill::Zeros),
        (200_000..SIZE, Fill::Noise),
    ];
    Disk::new("disk", SIZE, &runs)
}

/// Guest bytes of the disk.
const SIZE: usize = 200 * 1024 - 1536;
/// The passphrase for `qemu-img`.
const SECRET: &[&str] = &["--object", "secret,id=sec0,data=abc"];

/// Whether the oracle is there.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn has_qemu_img() -> bool {
    let there = Command::new("qemu-img").arg("--version").stdout(Stdio::null()).status().is_ok();
    assert!(there || std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "qemu-img is not installed");
    if !there {
        eprintln!("skipped: qemu-img is not installed");
    }
    there
}

/// Runs `qemu-img` in `folder`, about an image that was made like `what`.
fn qemu_img(folder: &Path, what: &str, args: &[&str]) -> Output {
    let output = Command::new("qemu-img").args(args).current_dir(folder).output().expect("it is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {args:?}: {said} {}", String::from_utf8_lossy(&output.stdout));
    output
}
