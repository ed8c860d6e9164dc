//! Key slots are filled and erased, and a cut leaves the image a key.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Edited, Files, Noise, PlainImage, Recording};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    AmendRequest, CreateRequest, ErrorKind, Format, MemoryStorage, MemoryTarget, OpenContext, Options, Preallocation,
    Result, Secrets, Target,
};
use imgfmt_qcow2::Qcow2;

use crate::images::disk;
use crate::oracle::{has_qemu_img, qemu_img};

/// Guest bytes.
const SIZE: usize = 40 * 512;

/// The secrets; the name of each is what it is.
fn secrets() -> Secrets {
    let mut secrets = Secrets::new();
    ["one", "two", "three"].iter().for_each(|name| secrets.add(*name, *name));
    secrets
}

/// An image that the secret `one` opens, in slot 0.
fn image() -> Vec<(String, Vec<u8>)> {
    let target = Arc::new(MemoryTarget::new());
    let options = "cluster_size=4k,encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,encrypt.iterations=1000,\
                   encrypt.key-secret=one";
    let (options, secrets) = (Options::parse(options).unwrap(), secrets());
    let request = CreateRequest { secrets: &secrets, ..CreateRequest::new(SIZE as u64, &options) };
    let writer = Qcow2.create(Arc::clone(&target) as Arc<dyn Target>, &request).unwrap();
    Convert::default().run(&PlainImage::new(Arc::new(MemoryStorage::new(disk(SIZE)))), writer).unwrap();
    vec![("top".to_owned(), target.to_vec())]
}

/// Changes key slots of the image in `files`, which is opened with the secret `key`.
fn amend(files: &Files, key: &str, options: &str, force: bool) -> Result<()> {
    let (limits, path, secrets) = (imgfmt_core::Limits::default(), Path::new("top"), secrets());
    let opened = Options::parse(&format!("encrypt.key-secret={key}")).unwrap();
    let context =
        OpenContext { path: Some(path), options: &opened, secrets: &secrets, ..OpenContext::new(&limits, files) };
    let options = Options::parse(options).unwrap();
    Qcow2.abilities().amend.unwrap().amend(
        files.medium(path)?,
        &AmendRequest { force, ..AmendRequest::new(&options) },
        &context,
    )
}

/// What slots, and with which secrets, are to be changed.
fn fill(secret: &str, more: &str) -> String {
    format!("encrypt.state=active,encrypt.new-secret={secret},encrypt.iterations=1000{more}")
}

/// The secrets that open the image.
fn keys(files: &Files) -> Vec<&'static str> {
    keys_of(files, &["one", "two", "three"])
}

/// Those of `among` that open the image; what is read then is right.
fn keys_of(files: &Files, among: &[&'static str]) -> Vec<&'static str> {
    let secrets = secrets();
    let opens = |key: &&'static str| {
        let options = Options::parse(&format!("encrypt.key-secret={key}")).unwrap();
        let edited = Edited {
            format: &Qcow2,
            files: &[],
            name: "top",
            options: &options,
            secrets: &secrets,
            size_unit: 512,
            shrinks: true,
        };
        match edited.read(files) {
            Ok(read) => {
                assert!(read == disk(SIZE), "{key}");
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Refused, "{key}: {error}");
                false
            }
        }
    };
    among.iter().copied().filter(opens).collect()
}

/// Which slots are active.
fn active(files: &Files) -> Vec<usize> {
    let limits = imgfmt_core::Limits::default();
    let context = OpenContext { describe_only: true, ..OpenContext::new(&limits, files) };
    let image = Qcow2.open(files.medium(Path::new("top")).unwrap(), &context).unwrap().image;
    let slots = image.describe().specific["encrypt"]["slots"].clone();
    (0..8).filter(|slot| slots[*slot]["active"] == true).collect()
}

#[test]
fn slots_are_filled_and_erased() {
    let recording = Recording::new(&image());
    let files = recording.files();
    let left = |files: &Files| (keys(files), active(files));
    assert_eq!(left(&files), (vec!["one"], vec![0]));
    for (key, options, force, after, slots) in [
        ("one", fill("two", ""), false, &["one", "two"][..], &[0, 1][..]),
        ("two", fill("two", ",encrypt.keyslot=6"), false, &["one", "two"], &[0, 1, 6]),
        ("two", fill("three", ",encrypt.keyslot=6"), true, &["one", "two", "three"], &[0, 1, 6]),
        ("one", fill("two", ""), false, &["one", "two", "three"], &[0, 1, 2, 6]),
        ("three", "encrypt.state=inactive,encrypt.old-secret=two".to_owned(), false, &["one", "three"], &[0, 6]),
        ("three", "encrypt.state=inactive,encrypt.keyslot=0".to_owned(), false, &["three"], &[6]),
        ("three", fill("one", ",encrypt.keyslot=6"), true, &["one"], &[6]),
        ("one", "encrypt.state=inactive,encrypt.keyslot=6,encrypt.old-secret=one".to_owned(), true, &[], &[]),
    ] {
        amend(&files, key, &options, force).unwrap_or_else(|e| panic!("{options}: {e}"));
        assert_eq!(left(&files), (after.to_vec(), slots.to_vec()), "{options}");
    }
}

#[test]
fn all_slots_may_be_in_use() {
    let recording = Recording::new(&image());
    let files = recording.files();
    for _ in 1..8 {
        amend(&files, "one", &fill("two", ""), false).unwrap();
    }
    assert_eq!(active(&files), (0..8).collect::<Vec<_>>());
    let told = amend(&files, "one", &fill("three", ""), false).unwrap_err();
    assert!(told.to_string().contains("all key slots are in use"), "{told}");
    amend(&files, "one", &fill("three", ",encrypt.keyslot=7"), true).unwrap();
    amend(&files, "one", "encrypt.state=inactive,encrypt.old-secret=two", false).unwrap();
    assert_eq!((keys(&files), active(&files)), (vec!["one", "three"], vec![0, 7]));
}

#[test]
fn what_would_lose_a_key_or_means_nothing_is_refused() {
    let source = image();
    let recording = Recording::new(&source);
    for (options, told) in [
        (fill("two", ",encrypt.keyslot=0"), "key slot 0 is in use"),
        (fill("two", ",encrypt.keyslot=8"), "outside 0 to 7"),
        (fill("two", ",encrypt.old-secret=one"), "old-secret is for"),
        (fill("nobody", ""), "no secret nobody"),
        ("encrypt.state=active".to_owned(), "say encrypt.new-secret"),
        ("encrypt.new-secret=two".to_owned(), "encrypt.state has to say"),
        ("encrypt.state=off".to_owned(), "off"),
        ("encrypt.state=inactive".to_owned(), "say which"),
        ("encrypt.state=inactive,encrypt.keyslot=1".to_owned(), "key slot 1 is not in use"),
        ("encrypt.state=inactive,encrypt.keyslot=0".to_owned(), "no key would be left"),
        ("encrypt.state=inactive,encrypt.old-secret=one".to_owned(), "no key would be left"),
        ("encrypt.state=inactive,encrypt.old-secret=two".to_owned(), "opens no key slot"),
        ("encrypt.state=inactive,encrypt.old-secret=two,encrypt.keyslot=0".to_owned(), "is not opened by"),
        ("encrypt.state=inactive,encrypt.keyslot=0,encrypt.iter-time=5".to_owned(), "iter-time is for"),
        ("encrypt.state=inactive,encrypt.keyslot=0,encrypt.new-secret=two".to_owned(), "new-secret is for"),
    ] {
        let error = amend(&recording.files(), "one", &options, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{options}: {error}");
        assert!(error.to_string().contains(told), "{options}: {error}");
    }
    let refused = amend(&recording.files(), "two", &fill("two", ""), false).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    assert!(recording.now() == source, "nothing was changed");
}

#[test]
fn keys_may_be_cut_anywhere() {
    let start = Recording::new(&image());
    amend(&start.files(), "one", &fill("two", ",encrypt.keyslot=6"), false).unwrap();
    let two_keys = start.now();
    for (before, options, force, keys) in [
        (image(), fill("three", ",encrypt.keyslot=6"), false, &["one"][..]),
        // The only key is replaced: there is the old one or the new one.
        (image(), fill("two", ",encrypt.keyslot=0"), true, &["two", "one"]),
        (two_keys.clone(), fill("three", ",encrypt.keyslot=6"), true, &["one"]),
        (two_keys.clone(), "encrypt.state=inactive,encrypt.old-secret=two".to_owned(), false, &["one"]),
        (two_keys, "encrypt.state=inactive,encrypt.keyslot=0".to_owned(), false, &["two"]),
    ] {
        let recording = Recording::new(&before);
        let key = if options.ends_with("keyslot=0") && !force { "two" } else { "one" };
        amend(&recording.files(), key, &options, force).unwrap();
        let mut random = Noise(11);
        for cut in 0..=recording.len() {
            for way in 0..2 {
                let mut keep = || way == 1 && random.below(2) == 1;
                let left = Recording::new(&recording.cut(cut, &mut keep));
                let what = format!("{options}, cut after {cut} of {}, way {way}", recording.len());
                assert!(keys.iter().any(|key| !keys_of(&left.files(), &[key]).is_empty()), "{what}");
            }
        }
    }
}

#[test]
fn keys_are_not_written_over_whatever_refcounts_say() {
    let mut source = image();
    let bytes = &mut source[0].1;
    let number =
        |bytes: &[u8], at: usize| usize::try_from(u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap();
    let extension = bytes.windows(4).position(|bytes| bytes == [0x05, 0x37, 0xbe, 0x77]).unwrap();
    let (start, len) = (number(bytes, extension + 8), number(bytes, extension + 16));
    let block = number(bytes, number(bytes, 48));
    bytes[block + start / 4096 * 2..block + (start + len) / 4096 * 2].fill(0);
    let recording = Recording::new(&source);
    let (options, secrets) = (Options::parse("encrypt.key-secret=one").unwrap(), secrets());
    let edited = Edited {
        format: &Qcow2,
        files: &source,
        name: "top",
        options: &options,
        secrets: &secrets,
        size_unit: 512,
        shrinks: true,
    };
    let written = edited.edit(&recording.files(), &mut |editor| {
        editor.resize(1 << 20, Preallocation::Off)?;
        editor.write_at(&[1; 4096], 512 << 10)?;
        Ok(true)
    });
    assert_eq!(written.unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(recording.now()[0].1[start..start + len], source[0].1[start..start + len]);
}

#[test]
fn qemu_img_opens_with_the_new_secret_alone() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::new(&image());
    let files = recording.files();
    amend(&files, "one", &fill("two", ",encrypt.keyslot=3"), false).unwrap();
    amend(&files, "two", "encrypt.state=inactive,encrypt.old-secret=one", false).unwrap();
    amend(&files, "two", &fill("three", ""), false).unwrap();
    std::fs::write(folder.path().join("model"), disk(SIZE)).unwrap();
    std::fs::write(folder.path().join("top"), &recording.now()[0].1).unwrap();
    let opens = |secret: &str| {
        let line = format!(
            "compare --object secret,id=s,data={secret} --image-opts driver=qcow2,encrypt.key-secret=s,file.filename=top \
             driver=raw,file.filename=model"
        );
        qemu_img(folder.path(), &line)
    };
    let opened = "--image-opts driver=qcow2,encrypt.key-secret=s,file.filename=top";
    qemu_img(folder.path(), &format!("check --object secret,id=s,data=two {opened}")).unwrap();
    assert!(opens("one").is_err());
    assert!(opens("two").is_ok() && opens("three").is_ok(), "{:?}", opens("two"));
    // And it goes on from there.
    let line = "amend --object secret,id=s,data=two --object secret,id=n,data=one --image-opts \
                driver=qcow2,encrypt.key-secret=s,file.filename=top -o";
    for change in
        ["encrypt.state=inactive,encrypt.keyslot=0", "encrypt.state=active,encrypt.new-secret=n,encrypt.iter-time=10"]
    {
        qemu_img(folder.path(), &format!("{line} {change}")).unwrap();
    }
    let theirs = Recording::new(&[("top".to_owned(), std::fs::read(folder.path().join("top")).unwrap())]);
    assert_eq!((keys(&theirs.files()), active(&theirs.files())), (vec!["one", "two"], vec![0, 3]));
}
