//! Images that `qemu-img` makes read to the disk that it made them from. Skipped where it is not installed;
//! `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Fill};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    CreateRequest, DenyAll, Erase, FileMedium, Findings, Format, Image, ImageEditor, Limits, Locking, MemoryStorage,
    MemoryTarget, OpenContext, Options, Preallocation, Repair, Result, Severity,
};
use imgfmt_vdi::Vdi;
use sha2::{Digest, Sha256};
use support::{hash, hex, open};

#[test]
fn what_qemu_img_writes_reads_back() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for size in [512, 700_416, 3 << 20, (5 << 20) + 1536] {
        let disk = disk(size);
        std::fs::write(folder.path().join("disk.raw"), &disk.bytes).unwrap();
        for (options, kind) in [("static=off", "dynamic"), ("static=on", "fixed")] {
            qemu_img(folder.path(), &["convert", "-f", "raw", "-O", "vdi", "-o", options, "disk.raw", "out.vdi"]);
            let image = open(&folder.path().join("out.vdi"), false).unwrap();
            let said = image.describe();
            assert_eq!((image.size(), said.subformat.as_deref()), (size as u64, Some(kind)));
            assert_eq!(
                (said.cluster_size, said.creator.as_deref()),
                (Some(1 << 20), Some("QEMU VM Virtual Disk Image"))
            );
            assert_eq!(hash(&image).unwrap(), hex(&Sha256::digest(&disk.bytes)), "{size} {options}");
        }
    }
}

#[test]
fn qemu_img_reads_what_is_written() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for size in [512, 700_416, 3 << 20, (5 << 20) + 1000] {
        let disk = disk(size);
        for options in ["", "static=on"] {
            std::fs::write(folder.path().join("out.vdi"), write(&disk, options)).unwrap();
            assert_holds(folder.path(), &disk.bytes, &format!("{size} {options}"));
        }
    }
}

#[test]
fn qemu_img_reads_what_is_edited_and_mended() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.vdi");
    for options in ["", "static=on"] {
        let disk = disk(5 << 20);
        std::fs::write(&path, write(&disk, options)).unwrap();
        let mut model = disk.bytes;
        edit(&path, |editor| {
            editor.write_at(&[5; 3000], 2_500_001)?;
            model[2_500_001..2_503_001].fill(5);
            editor.erase(0..1 << 20, Erase::Zero)?;
            model[..1 << 20].fill(0);
            editor.resize(7 << 20, Preallocation::Off)?;
            model.resize(7 << 20, 0);
            editor.write_at(&[6; 70_000], (6 << 20) + 512)?;
            model[(6 << 20) + 512..][..70_000].fill(6);
            Ok(())
        })
        .unwrap();
        assert_holds(folder.path(), &model, &format!("edited {options}"));
        edit(&path, |editor| editor.resize(3 << 20, Preallocation::Off)).unwrap();
        edit(&path, |editor| editor.resize(300_000 << 20, Preallocation::Off)).unwrap_or_else(|e| panic!("{e}"));
        edit(&path, |editor| editor.resize((4 << 20) + 512, Preallocation::Full)).unwrap_err();
        edit(&path, |editor| editor.resize((4 << 20) + 512, Preallocation::Off)).unwrap();
        model.resize(3 << 20, 0);
        model.resize((4 << 20) + 512, 0);
        assert_holds(folder.path(), &model, &format!("resized {options}"));

        // A count that is wrong, and two entries that name one block.
        let mut file = std::fs::read(&path).unwrap();
        let number = |file: &[u8], at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let map = usize::try_from(number(&file, 340)).unwrap();
        let entries = (0..5).map(|index| map + 4 * index).filter(|at| number(&file, *at) < u32::MAX - 1);
        let [first, second] = entries.take(2).map(|at| (at, number(&file, at))).collect::<Vec<_>>()[..] else {
            panic!()
        };
        file[second.0..second.0 + 4].copy_from_slice(&first.1.to_le_bytes());
        file[388..392].copy_from_slice(&[9, 0, 0, 0]);
        std::fs::write(&path, file).unwrap();
        let index = |(at, _): (usize, u32)| ((at - map) / 4) << 20;
        let copied = model[index(first)..index(first) + (1 << 20)].to_vec();
        let target = index(second)..(index(second) + (1 << 20)).min(model.len());
        model[target.clone()].copy_from_slice(&copied[..target.len()]);
        repair(&path).unwrap();
        assert_holds(folder.path(), &model, &format!("mended {options}"));
    }
}

#[test]
fn what_qemu_io_writes_to_an_edited_image_is_read() {
    if !has_qemu_img() || Command::new("qemu-io").arg("--version").stdout(Stdio::null()).status().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.vdi");
    let mut model = vec![0; 8 << 20];
    std::fs::write(&path, write(&Disk::new("empty", 8 << 20, &[]), "")).unwrap();
    edit(&path, |editor| {
        editor.write_at(&vec![1; 3 << 20], 1 << 20)?;
        editor.erase(1 << 20..2 << 20, Erase::Zero)
    })
    .unwrap();
    model[2 << 20..4 << 20].fill(1);
    let status = Command::new("qemu-io")
        .args(["-f", "vdi", "-c", "write -P 7 5M 1M", "-c", "write -P 8 1M 64k", "out.vdi"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    model[5 << 20..6 << 20].fill(7);
    model[1 << 20..(1 << 20) + 65_536].fill(8);
    assert_holds(folder.path(), &model, "written by both");
    assert_eq!(hash(&open(&path, false).unwrap()).unwrap(), hex(&Sha256::digest(&model)));
}

#[test]
fn what_qemu_img_calls_damaged_is_damaged() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.vdi");
    std::fs::write(folder.path().join("disk.raw"), &disk(5 << 20).bytes).unwrap();
    qemu_img(folder.path(), &["convert", "-f", "raw", "-O", "vdi", "disk.raw", "out.vdi"]);
    let whole = std::fs::read(&path).unwrap();
    let map = usize::try_from(u32::from_le_bytes(whole[340..344].try_into().unwrap())).unwrap();
    let (first, last) = (map, map + 16);
    assert!(whole[first..first + 4] != whole[last..last + 4]);
    let stored = u64::from(u32::from_le_bytes(whole[388..392].try_into().unwrap()));
    let cases: [(&str, usize, &[u8], bool); 5] = [
        ("whole", 0, &[], false),
        ("a block twice", last, &whole[first..first + 4], true),
        ("a block behind the file", first, &[9, 0, 0, 0], true),
        ("a count that is too small", 388, &[1, 0, 0, 0], true),
        ("a block that is lost", last, &[0xff; 4], true),
    ];
    for (what, at, bytes, damaged) in cases {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(&path, &file).unwrap();
        let status =
            Command::new("qemu-img").args(["check", "-q", "-f", "vdi"]).arg(&path).stderr(Stdio::null()).status();
        assert_eq!(status.unwrap().code(), Some(if damaged { 2 } else { 0 }), "{what}");
        let (limits, mut findings) = (Limits::default(), Findings::new());
        let context = OpenContext::new(&limits, &DenyAll);
        let storage = Arc::new(MemoryStorage::new(file));
        let stats = Vdi.abilities().check.unwrap().check(storage, &context, &mut findings).unwrap();
        assert_eq!(findings.total() > 0, damaged, "{what}: {:?}", findings.kept());
        assert_eq!(stats.total_units, 5);
        if !damaged {
            assert_eq!((stats.allocated_units, stats.image_end), (stored, Some(whole.len() as u64)));
        }
    }
}

/// The image that `disk` becomes with `options`.
fn write(disk: &Disk, options: &str) -> Vec<u8> {
    let (target, options) = (Arc::new(MemoryTarget::new()), Options::parse(options).unwrap());
    let request = CreateRequest::new(disk.bytes.len() as u64, &options);
    Convert::default().run(&disk.image(), Vdi.create(target.clone(), &request).unwrap()).unwrap();
    target.to_vec()
}

/// Edits the image at `path`.
fn edit(path: &Path, act: impl FnOnce(&dyn ImageEditor) -> Result<()>) -> Result<()> {
    let medium = Arc::new(FileMedium::open(path, Locking::Write)?);
    let limits = Limits::default();
    let editor = Vdi.abilities().edit.expect("it edits").edit(medium, &OpenContext::new(&limits, &DenyAll))?;
    act(editor.as_ref())?;
    editor.close()
}

/// Mends the image at `path`.
fn repair(path: &Path) -> Result<()> {
    let medium = Arc::new(FileMedium::open(path, Locking::Write)?);
    let (limits, mut findings) = (Limits::default(), Findings::new());
    let context = OpenContext::new(&limits, &DenyAll);
    Vdi.abilities().check.expect("it checks").repair(medium, Repair::All, &context, &mut findings)?;
    assert_eq!(findings.open(Severity::Corruption) + findings.open(Severity::Leak), 0, "{:?}", findings.kept());
    Ok(())
}

/// Checks that `out.vdi` holds `bytes` up to whole sectors, and nothing wrong, as `qemu-img` sees it.
fn assert_holds(folder: &Path, bytes: &[u8], what: &str) {
    let mut wanted = bytes.to_vec();
    wanted.resize(wanted.len().next_multiple_of(512), 0);
    std::fs::write(folder.join("wanted.raw"), wanted).unwrap();
    qemu_img(folder, &["compare", "-f", "vdi", "-F", "raw", "out.vdi", "wanted.raw"]);
    qemu_img(folder, &["check", "-f", "vdi", "out.vdi"]);
    let info =
        Command::new("qemu-img").args(["info", "--output=json", "out.vdi"]).current_dir(folder).output().unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info["virtual-size"], bytes.len().next_multiple_of(512), "{what}");
}

/// A disk with text, noise and zeros.
fn disk(size: usize) -> Disk {
    let at = |part: usize| size / 8 * part;
    let runs = [(0..at(1), Fill::Text), (at(1)..at(2), Fill::Noise), (at(7)..size, Fill::Noise)];
    Disk::new("some", size, &runs)
}

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

/// Runs `qemu-img` in `folder`.
fn qemu_img(folder: &Path, args: &[&str]) {
    let output = Command::new("qemu-img").args(args).current_dir(folder).output().expect("it is installed");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
