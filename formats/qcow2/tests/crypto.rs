//! Encrypted images: what `qemu-img` makes of ours, and we of its. Skipped where it is not installed;
//! `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

#[path = "common/qemu.rs"]
mod qemu;
#[path = "common/write.rs"]
mod write;

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Fill, Pipe, read_all};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    Beneath, CreateRequest, DenyAll, Error, ErrorKind, FileStorage, Format, Image, Limits, OpenContext, Options,
    Result, Secrets, Target,
};
use imgfmt_qcow2::Qcow2;
use qemu::{has_qemu_img, qemu_img};
use serde_json::Value;
use write::{Folder, write};

#[test]
fn what_qemu_img_encrypts_reads_back_and_is_described_alike() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = disk();
    std::fs::write(folder.path().join("disk.raw"), &disk.bytes).unwrap();
    for options in THEIRS {
        let options = full(options, "iter-time=1");
        let args = [SECRET, &["convert", "-f", "raw", "-O", "qcow2", "-o", &options, "disk.raw", "theirs.qcow2"]];
        qemu_img(folder.path(), &[&args[1][..1], args[0], &args[1][1..]].concat());
        let path = folder.path().join("theirs.qcow2");
        let image = open(&path, "abc").unwrap_or_else(|error| panic!("{options}: {error}"));
        check(image.as_ref(), &disk, &options);
        let said = qemu_img(folder.path(), &["info", "--output", "json", "theirs.qcow2"]);
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
    let more = [
        "cluster_size=512",
        "cluster_size=2M,extended_l2=on",
        "compat=0.10,preallocation=full",
        "preallocation=metadata",
        "extended_l2=on,preallocation=metadata",
        "data_file=data.bin",
        "hash-alg=ripemd160",
    ];
    for options in ENCRYPTIONS.iter().chain(&more) {
        let options = full(options, "iterations=1000");
        let path = folder.path().join("ours.qcow2");
        write_file(&path, &options).unwrap_or_else(|error| panic!("{options}: {error}"));
        let image = open(&path, "abc").unwrap_or_else(|error| panic!("{options}: {error}"));
        check(image.as_ref(), &disk, &options);
        let opened = "driver=qcow2,encrypt.key-secret=sec0,file.filename=ours.qcow2";
        let check = [&["check"], SECRET, &["--image-opts", opened]].concat();
        qemu_img(folder.path(), &check);
        let compare = [&["compare"], SECRET, &["--image-opts", "driver=raw,file.filename=disk.raw", opened]].concat();
        qemu_img(folder.path(), &compare);
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
    let options = full("encrypt.format=luks", "iter-time=1");
    let size = SIZE.to_string();
    let create = [&["create"], SECRET, &["-f", "qcow2", "-o", &options, "mixed.qcow2", &size]].concat();
    qemu_img(folder.path(), &create);
    let target = "driver=qcow2,encrypt.key-secret=sec0,file.filename=mixed.qcow2";
    let opts = ["--target-image-opts", "--image-opts", "-n", "-c", "driver=raw,file.filename=disk.raw", target];
    qemu_img(folder.path(), &[&["convert"], SECRET, &opts].concat());
    check(open(&folder.path().join("mixed.qcow2"), "abc").unwrap().as_ref(), &disk, "compressed");
}

#[test]
fn snapshots_of_an_encrypted_image_read_back() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, disk) = (folder.path().join("ours.qcow2"), disk());
    write_file(&path, &full("cluster_size=4k", "iterations=1000")).unwrap();
    std::fs::write(folder.path().join("other.raw"), vec![0x77; SIZE]).unwrap();
    let target = "driver=qcow2,encrypt.key-secret=sec0,file.filename=ours.qcow2";
    qemu_img(folder.path(), &[&["snapshot", "-c", "first"], SECRET, &["--image-opts", target]].concat());
    let opts = ["--target-image-opts", "--image-opts", "-n", "driver=raw,file.filename=other.raw", target];
    qemu_img(folder.path(), &[&["convert"], SECRET, &opts].concat());
    let secret = [("encrypt.key-secret", "sec0")];
    check(open_as(&path, &secret, "abc", Some("first")).unwrap().as_ref(), &disk, "the snapshot");
    assert!(read_all(open(&path, "abc").unwrap().as_ref()).iter().all(|byte| *byte == 0x77));
}

#[test]
fn an_encrypted_image_may_grow_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, disk) = (folder.path().join("ours.qcow2"), disk());
    let (options, mut secrets) =
        (Options::parse("encrypt.key-secret=sec0,encrypt.iterations=1000").unwrap(), Secrets::new());
    secrets.add("sec0", "abc");
    let request = CreateRequest { size_grows: true, secrets: &secrets, ..CreateRequest::new(0, &options) };
    let target = Folder(folder.path().to_owned()).file("ours.qcow2".as_ref());
    let writer = Qcow2.create(target, &request).unwrap();
    writer.set_size(SIZE as u64).unwrap();
    Convert::default().run(&disk.image(), writer).unwrap();
    check(open(&path, "abc").unwrap().as_ref(), &disk, "a disk that grows");
}

#[test]
fn without_its_secret_an_image_is_described_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.qcow2");
    for format in ["encrypt.format=luks,encrypt.iterations=1000", "encrypt.format=aes"] {
        write_file(&path, &format!("encrypt.key-secret=sec0,{format}")).unwrap();
        let error = open_with(&path, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("encrypt.key-secret"), "{error}");
        assert_eq!(open_with(&path, &[("encrypt.key-secret", "gone")]).unwrap_err().kind(), ErrorKind::Invalid);
        let other = if format.ends_with("aes") { "luks" } else { "aes" };
        let said = open_with(&path, &[("key-secret", "sec0"), ("encrypt.format", other)]).unwrap_err();
        assert_eq!(said.kind(), ErrorKind::Invalid, "{said}");
        let limits = Limits::default();
        let context = OpenContext { describe_only: true, ..OpenContext::new(&limits, &DenyAll) };
        let image = Qcow2.open(Arc::new(FileStorage::open(&path).unwrap()), &context).unwrap().image;
        assert!(image.describe().encrypted);
        assert_eq!(image.read_at(&mut [0; 4], 0).unwrap_err().kind(), ErrorKind::Refused);
        assert!(image.read_at(&mut [1; 4], 140_000).is_ok(), "zeros are no secret");
    }
    write_file(&path, "encrypt.key-secret=sec0,encrypt.iterations=1000").unwrap();
    let error = open(&path, "abd").err().unwrap();
    assert_eq!((error.kind(), error.to_string().contains("passphrase")), (ErrorKind::Refused, true), "{error}");
}

#[test]
fn what_no_encrypted_image_can_be_is_refused() {
    let refused = |options: &str| -> Error {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("encrypt.key-secret=sec0,{options}");
        write_file(&folder.path().join("ours.qcow2"), &options).expect_err(&options)
    };
    for (options, word) in [
        ("encrypt.format=luks2", "encrypt.format"),
        ("encrypt.cipher-alg=des", "encrypt.cipher-alg"),
        ("encrypt.cipher-alg=cast5-128", "16 bytes"),
        ("encrypt.cipher-alg=aes-192,encrypt.cipher-mode=cbc", "aes-192"),
        ("encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha512", "sha512"),
        ("encrypt.ivgen-hash-alg=sha256", "essiv"),
        ("encrypt.hash-alg=md5", "encrypt.hash-alg"),
        ("encrypt.iterations=999", "1000"),
        ("encrypt.iterations=12000001", "12000000"),
        ("encrypt.iterations=1000,encrypt.iter-time=10", "exclude"),
        ("encrypt.iter-time=0", "encrypt.iter-time"),
        ("encrypt.format=aes,encrypt.cipher-alg=aes-128", "encrypt.cipher-alg"),
        ("encryption=on,encrypt.format=luks", "encryption=on"),
        ("encrypt.key-secret=other", "other"),
        ("data_file=data.bin,data_file_raw=on,encrypt.iterations=1000", "raw data file"),
    ] {
        let error = refused(options);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{options}: {error}");
        assert!(error.to_string().contains(word), "{options}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let pipe = Arc::new(Pipe::default());
    let into_pipe = Arc::clone(&pipe) as Arc<dyn Target>;
    let error = write_to(into_pipe, folder.path(), "encrypt.key-secret=sec0").unwrap_err();
    assert_eq!((error.kind(), pipe.to_vec().len()), (ErrorKind::Unsupported, 0));
    let options = Options::parse("encrypt.format=luks").unwrap();
    let request = CreateRequest { compress: true, ..CreateRequest::new(512, &options) };
    let error = write(Arc::new(Pipe::default()), &disk().image(), &request).unwrap_err();
    assert!(error.to_string().contains("exclude"), "{error}");
}

/// What `qemu-img` takes seconds for each to write: the reader meets every cipher in what is written here.
const THEIRS: &[&str] = &[
    "encrypt.format=aes",
    "extended_l2=on,encrypt.format=luks",
    "cluster_size=512,cipher-alg=serpent-256,cipher-mode=cbc,ivgen-alg=plain,hash-alg=sha1",
    "compat=0.10,cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256",
];

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
    open_as(path, &[("encrypt.key-secret", "sec0")], passphrase, None)
}

/// Opens an image with options, and drops it.
fn open_with(path: &Path, options: &[(&str, &str)]) -> Result<()> {
    open_as(path, options, "abc", None).map(drop)
}

/// Opens an image, or its snapshot, with options and a secret.
fn open_as(path: &Path, given: &[(&str, &str)], passphrase: &str, snapshot: Option<&str>) -> Result<Box<dyn Image>> {
    let (mut options, mut secrets, limits) = (Options::new(), Secrets::new(), Limits::default());
    given.iter().for_each(|(name, value)| options.set(name, value));
    secrets.add("sec0", passphrase);
    let mut gate = Beneath::new();
    gate.allow_beside(path)?;
    let context = OpenContext {
        path: Some(path),
        options: &options,
        secrets: &secrets,
        snapshot,
        ..OpenContext::new(&limits, &gate)
    };
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

/// Writes the disk to the target with these options.
fn write_to(target: Arc<dyn Target>, folder: &Path, options: &str) -> Result<()> {
    let options = Options::parse(options)?;
    let mut secrets = Secrets::new();
    secrets.add("sec0", "abc");
    let files = Folder(folder.to_owned());
    let request = CreateRequest { secrets: &secrets, files: &files, ..CreateRequest::new(SIZE as u64, &options) };
    write(target, &disk().image(), &request)
}

/// Writes the disk to a file with these options.
fn write_file(path: &Path, options: &str) -> Result<()> {
    let folder = path.parent().expect("a file is in a folder");
    write_to(Folder(folder.to_owned()).file(path.file_name().expect("it has a name").as_ref()), folder, options)
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
