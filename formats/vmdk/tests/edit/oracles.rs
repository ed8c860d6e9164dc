//! Others read what was edited and mended here: `qemu-img` and libvmdk. Skipped where they are missing;
//! `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

use std::path::Path;
use std::process::{Command, Stdio};

use imgfmt_core::Repair;
use imgfmt_core::conformance::{Files, Step, apply, check_edits, random_steps};

use crate::KINDS;
use crate::images::{Folder, Made, made};

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

/// Runs a program in `folder`; returns what it says.
fn run(folder: &Path, program: &str, args: &[&str], what: &str) -> String {
    let output = Command::new(program).args(args).current_dir(folder).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}: {args:?}: {said} {words}");
    said
}

/// Has others read the image in `files`, and compares with what is read here.
fn compare(files: Vec<(String, Vec<u8>)>, what: &str) {
    let image = Made::of(files);
    let folder = Folder::new();
    folder.put(&image.files);
    let mut files = Files::default();
    image.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
    let bytes = image.edited().read(&files).unwrap();
    std::fs::write(folder.path("disk.raw"), &bytes).unwrap();
    let root = folder.0.path();
    run(root, "qemu-img", &["check", "-q", "-f", "vmdk", "disk.vmdk"], what);
    run(root, "qemu-img", &["compare", "-q", "-f", "vmdk", "-F", "raw", "disk.vmdk", "disk.raw"], what);
    let said = run(root, "qemu-img", &["info", "--output=json", "-f", "vmdk", "disk.vmdk"], what);
    assert!(said.contains(&format!("\"virtual-size\": {},", bytes.len())), "{what}: {said}");
    let python = std::env::var("IMGFMT_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    // libvmdk takes the entry for zeros for the sector of a grain.
    if !what.contains("zeroed_grain=on") && is_there(&python, &["-c", "import pyvmdk"]) {
        run(root, &python, &["-c", LIBVMDK, "disk.vmdk", "disk.raw"], what);
    }
}

#[test]
fn what_was_edited_reads_the_same_everywhere() {
    if !is_there("qemu-img", &["--version"]) {
        return;
    }
    for options in KINDS {
        let image = made(options, 203 * 512);
        for seed in 11..=13 {
            let edited = image.edited();
            let steps = random_steps(&edited, seed, 20, 203 * 512, 1);
            compare(check_edits(&edited, &steps), &format!("{options} {steps:?}"));
        }
    }
}

#[test]
fn disks_that_became_larger_than_their_directory_read_the_same_everywhere() {
    if !is_there("qemu-img", &["--version"]) {
        return;
    }
    // More than 128 tables of 512 grains of 8 KiB.
    let size = 5 << 20;
    let steps = [Step::Resize(530 << 20, imgfmt_core::Preallocation::Off), Step::Write(520 << 20, 99_999, 4)];
    for options in ["grain_size=8k", "subformat=twoGbMaxExtentSparse,grain_size=8k"] {
        let image = made(options, size);
        let recording = imgfmt_core::conformance::Recording::new(&image.files);
        let act = |editor: &dyn imgfmt_core::ImageEditor| {
            steps.iter().try_for_each(|step| apply(editor, step)).map(|()| true)
        };
        image.edited().edit(&recording.files(), &mut { act }).unwrap();
        let folder = Folder::new();
        folder.put(&recording.now());
        let root = folder.0.path();
        run(root, "qemu-img", &["check", "-q", "-f", "vmdk", "disk.vmdk"], options);
        let said = run(root, "qemu-img", &["info", "--output=json", "-f", "vmdk", "disk.vmdk"], options);
        assert!(said.contains(&format!("\"virtual-size\": {}", 530 << 20)), "{said}");
        run(root, "qemu-img", &["convert", "-f", "vmdk", "-O", "raw", "disk.vmdk", "disk.raw"], options);
        let raw = std::fs::File::open(folder.path("disk.raw")).unwrap();
        let mut bytes = vec![0; 100_001];
        std::os::unix::fs::FileExt::read_exact_at(&raw, &mut bytes, (520 << 20) - 1).unwrap();
        assert!(bytes[0] == 0 && bytes[100_000] == 0 && bytes[1..100_000].iter().all(|&byte| byte == 4));
        let mut files = Files::default();
        recording.now().into_iter().for_each(|(name, bytes)| files.add(&name, bytes));
        let (found, _) = image.edited().check(&files, None).unwrap();
        assert_eq!(found.kept(), []);
    }
}

#[test]
fn what_qemu_img_made_is_edited_and_what_was_edited_here_qemu_writes_to() {
    if !is_there("qemu-img", &["--version"]) || !is_there("qemu-io", &["--version"]) {
        return;
    }
    for options in ["subformat=monolithicSparse", "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse"] {
        let folder = Folder::new();
        let root = folder.0.path();
        run(root, "qemu-img", &["create", "-q", "-f", "vmdk", "-o", options, "disk.vmdk", "1M"], options);
        run(root, "qemu-io", &["-f", "vmdk", "-c", "write -P 7 100k 200k", "disk.vmdk"], options);
        let image = Made::of(folder.files());
        let resize = Step::Resize(3 << 20, imgfmt_core::Preallocation::Off);
        let steps = [Step::Write(150_000, 200_000, 3), resize, Step::Write(2 << 20, 77, 5)];
        let files = check_edits(&image.edited(), &steps);
        compare(files.clone(), options);
        folder.put(&files);
        run(root, "qemu-io", &["-f", "vmdk", "-c", "write -P 9 2500k 300k", "disk.vmdk"], options);
        compare(folder.files(), options);
        let mut now = Files::default();
        folder.files().into_iter().for_each(|(name, bytes)| now.add(&name, bytes));
        assert_eq!(image.edited().check(&now, None).unwrap().0.kept(), [], "{options}");
    }
}

#[test]
fn what_was_mended_reads_the_same_everywhere() {
    if !is_there("qemu-img", &["--version"]) {
        return;
    }
    let image = made("grain_size=8k", 203 * 512);
    for field in [56, 48] {
        let mut files = image.files.clone();
        let bytes = &mut files[0].1;
        let at = usize::from(bytes[field]) * 512;
        bytes[at..at + 4].fill(0);
        bytes.extend([7; 8192]);
        let harmed = Made::of(files);
        let recording = imgfmt_core::conformance::Recording::new(&harmed.files);
        let (found, _) = harmed.edited().check(&recording.files(), Some(Repair::All)).unwrap();
        assert_eq!(found.kept().iter().filter(|finding| finding.fixed).count(), 2, "{:?}", found.kept());
        compare(recording.now(), "mended");
    }
}

/// Compares the disk in the image that is the first argument with the file that is the second.
const LIBVMDK: &str = "
import sys, pyvmdk
handle = pyvmdk.handle()
handle.open(sys.argv[1])
handle.open_extent_data_files()
expected = open(sys.argv[2], 'rb').read()
assert handle.get_media_size() == len(expected), (handle.get_media_size(), len(expected))
assert handle.read_buffer(len(expected)) == expected
";
