//! Other readers agree with what is written here, and this one with what others write. Skipped where they are not
//! installed; `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

#[path = "support/disks.rs"]
mod disks;
mod support;

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use disks::{backing, write_with};
use imgfmt_core::conformance::{Disk, Fill};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    Backing, ByteCounts, CreateRequest, DenyAll, Erase, FileMedium, Findings, Format, Image, ImageEditor, Limits,
    Locking, MemoryTarget, OpenContext, Options, ParentName, Preallocation, Repair, Result, Severity,
};
use imgfmt_vhd::Vhd;
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{hash, open};

#[test]
fn what_qemu_img_writes_reads_back() {
    if !has("qemu-img", &["--version"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for size in [512, 700_160, 3 << 20, (5 << 20) + 1536] {
        let disk = disk(size);
        std::fs::write(folder.path().join("disk.raw"), &disk.bytes).unwrap();
        for options in ["subformat=dynamic", "subformat=fixed", "force_size=on", "subformat=fixed,force_size=on"] {
            qemu_img(folder.path(), &["convert", "-f", "raw", "-O", "vpc", "-o", options, "disk.raw", "out.vhd"]);
            let image = open(&folder.path().join("out.vhd"), false, "").unwrap();
            assert_eq!(image.size(), size_of(folder.path(), "out.vhd"), "{size} {options}");
            let mut expected = disk.bytes.clone();
            expected.resize(usize::try_from(image.size()).unwrap(), 0);
            assert!(image.size() >= disk.bytes.len() as u64);
            assert_eq!(hash(&image).unwrap(), digest(&expected), "{size} {options}");
        }
    }
}

#[test]
fn qemu_img_reads_what_is_written() {
    if !has("qemu-img", &["--version"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for size in [512, 700_160, 3 << 20, (5 << 20) + 1536] {
        let disk = disk(size);
        for options in ["", "subformat=fixed", "subformat=fixed,align=1M", "block_size=512k", "force_size=off"] {
            let file = write(&disk.image(), options, None, 2).unwrap();
            std::fs::write(folder.path().join("out.vhd"), file).unwrap();
            let written = open(&folder.path().join("out.vhd"), false, "").unwrap().size();
            assert_eq!(size_of(folder.path(), "out.vhd"), written, "{size} {options}");
            let mut expected = disk.bytes.clone();
            expected.resize(usize::try_from(written).unwrap(), 0);
            std::fs::write(folder.path().join("disk.raw"), &expected).unwrap();
            qemu_img(folder.path(), &["compare", "-f", "vpc", "-F", "raw", "out.vhd", "disk.raw"]);
        }
    }
}

#[test]
fn sizes_without_force_size_are_those_of_qemu_img() {
    if !has("qemu-img", &["--version"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for size in ["1M", "1000000", "31M", "504M", "2G", "7654321k", "32G", "127G", "200G"] {
        qemu_img(folder.path(), &["create", "-f", "vpc", "some.vhd", size]);
        let theirs = size_of(folder.path(), "some.vhd");
        let wanted = imgfmt_core::options::parse_size(size).unwrap();
        std::fs::write(folder.path().join("ours.vhd"), empty(wanted, "force_size=off").unwrap()).unwrap();
        assert_eq!(size_of(folder.path(), "ours.vhd"), theirs, "{size}");
        assert_eq!(open(&folder.path().join("ours.vhd"), false, "").unwrap().size(), theirs, "{size}");
    }
}

#[test]
fn a_disk_of_2040_gib_opens_and_maps_at_once() {
    if !has("qemu-img", &["--version"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    qemu_img(folder.path(), &["create", "-f", "vpc", "huge.vhd", "2040G"]);
    let image = open(&folder.path().join("huge.vhd"), false, "").unwrap();
    assert_eq!(image.size(), 2040 << 30);
    assert_eq!(ByteCounts::of(&image).unwrap().absent, 2040 << 30);
}

#[test]
fn libvhdi_reads_what_is_written() {
    if !has("/usr/bin/python3", &["-c", "import pyvhdi"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = disk((5 << 20) + 1536);
    for options in ["", "subformat=fixed", "block_size=512k"] {
        std::fs::write(folder.path().join("out.vhd"), write(&disk.image(), options, None, 2).unwrap()).unwrap();
        assert_eq!(libvhdi(folder.path(), &["out.vhd"]), digest(&disk.bytes), "{options}");
    }
}

#[test]
fn libvhdi_reads_a_chain_that_is_written() {
    if !has("/usr/bin/python3", &["-c", "import pyvhdi"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let base = disk(5 << 20);
    let path = folder.path().join("base.vhd");
    std::fs::write(&path, write(&base.image(), "", None, 2).unwrap()).unwrap();
    let parent = backing(&open(&path, false, "").unwrap(), "base.vhd", Some(&path));
    let changed = Disk::new(
        "changed",
        base.bytes.len(),
        &[(0..9000, Fill::Text), (2_500_000..2_600_000, Fill::Zeros), (4_000_000..5_000_000, Fill::Noise)],
    );
    std::fs::write(folder.path().join("child.vhd"), write(&changed.image(), "", Some(&parent), 2).unwrap()).unwrap();
    let child = open(&folder.path().join("child.vhd"), true, "").unwrap();
    assert_eq!(hash(&child).unwrap(), digest(&changed.bytes));
    assert_eq!(libvhdi(folder.path(), &["child.vhd", "base.vhd"]), digest(&changed.bytes));
}

#[test]
fn qemu_img_reads_what_is_edited_and_mended() {
    if !has("qemu-img", &["--version"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut model = disk(3 << 20).bytes;
    for options in ["subformat=fixed", "", "block_size=512k"] {
        let path = folder.path().join("out.vhd");
        model.truncate(3 << 20);
        std::fs::write(&path, write(&disk(model.len()).image(), options, None, 2).unwrap()).unwrap();
        model.clone_from(&disk(3 << 20).bytes);
        let same = |model: &[u8], what: &str| {
            std::fs::write(folder.path().join("disk.raw"), model).unwrap();
            qemu_img(folder.path(), &["compare", "-f", "vpc", "-F", "raw", "out.vhd", "disk.raw"]);
            assert_eq!(size_of(folder.path(), "out.vhd"), model.len() as u64, "{what} {options}");
        };
        edit(&path, |editor| {
            editor.write_at(&[5; 3000], 1_000_001)?;
            model[1_000_001..1_003_001].fill(5);
            editor.erase(2 << 20..3 << 20, Erase::Zero)?;
            model[2 << 20..].fill(0);
            editor.resize(7 << 20, Preallocation::Off)?;
            model.resize(7 << 20, 0);
            editor.write_at(&[6; 70_000], (6 << 20) + 512)?;
            model[(6 << 20) + 512..][..70_000].fill(6);
            Ok(())
        })
        .unwrap();
        same(&model, "edited");
        edit(&path, |editor| editor.resize(5 << 20, Preallocation::Off)).unwrap();
        edit(&path, |editor| editor.resize(6 << 20, Preallocation::Full)).unwrap();
        model.truncate(5 << 20);
        model.resize(6 << 20, 0);
        same(&model, "resized");
        if options == "subformat=fixed" {
            continue;
        }
        // The footer at the end is lost, then its copy in front.
        let file = std::fs::read(&path).unwrap();
        std::fs::write(&path, &file[..file.len() - 512]).unwrap();
        assert_eq!(repair(&path).unwrap(), 1);
        same(&model, "mended at the end");
        std::fs::write(&path, [&[0; 512][..], &std::fs::read(&path).unwrap()[512..]].concat()).unwrap();
        assert_eq!(repair(&path).unwrap(), 1);
        same(&model, "mended in front");
    }
}

#[test]
fn libvhdi_reads_a_chain_that_is_edited() {
    if !has("/usr/bin/python3", &["-c", "import pyvhdi"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let base = disk(5 << 20);
    let path = folder.path().join("base.vhd");
    std::fs::write(&path, write(&base.image(), "", None, 2).unwrap()).unwrap();
    let parent = backing(&open(&path, false, "").unwrap(), "base.vhd", Some(&path));
    let child = folder.path().join("child.vhd");
    std::fs::write(&child, write(&base.image(), "", Some(&parent), 2).unwrap()).unwrap();
    let mut model = base.bytes;
    edit(&child, |editor| {
        editor.write_at(&[5; 1024], 512)?;
        model[512..1536].fill(5);
        editor.erase(1 << 20..3 << 20, Erase::Zero)?;
        model[1 << 20..3 << 20].fill(0);
        Ok(())
    })
    .unwrap();
    assert_eq!(libvhdi(folder.path(), &["child.vhd", "base.vhd"]), digest(&model));
    assert_eq!(hash(&open(&child, true, "").unwrap()).unwrap(), digest(&model));

    // The same parent under another name.
    std::fs::rename(&path, folder.path().join("moved.vhd")).unwrap();
    let moved = Backing { name: ParentName { name: "moved.vhd".into(), ..parent.name }, path: None, ..parent };
    let medium = Arc::new(FileMedium::open(&child, Locking::Write).unwrap());
    let limits = Limits::default();
    let context = OpenContext { path: Some(&child), ..OpenContext::new(&limits, &DenyAll) };
    Vhd.abilities().reparent.unwrap().set_parent(medium, Some(&moved), &context).unwrap();
    assert_eq!(hash(&open(&child, true, "").unwrap()).unwrap(), digest(&model));
    assert_eq!(libvhdi(folder.path(), &["child.vhd", "moved.vhd"]), digest(&model));
}

/// Edits the disk at `path`.
fn edit(path: &Path, act: impl FnOnce(&dyn ImageEditor) -> Result<()>) -> Result<()> {
    let medium = Arc::new(FileMedium::open(path, Locking::Write)?);
    let limits = Limits::default();
    let context = OpenContext { path: Some(path), ..OpenContext::new(&limits, &DenyAll) };
    let editor = Vhd.abilities().edit.expect("it edits").edit(medium, &context)?;
    act(editor.as_ref())?;
    editor.close()
}

/// Mends the disk at `path`, and says how much damage there was.
fn repair(path: &Path) -> Result<u64> {
    let medium = Arc::new(FileMedium::open(path, Locking::Write)?);
    let (limits, mut findings) = (Limits::default(), Findings::new());
    let context = OpenContext { path: Some(path), ..OpenContext::new(&limits, &DenyAll) };
    Vhd.abilities().check.expect("it checks").repair(medium, Repair::All, &context, &mut findings)?;
    assert_eq!(findings.open(Severity::Corruption), 0);
    Ok(findings.fixed(Severity::Corruption))
}

/// The file that `image` becomes with `options`, written by `threads` threads.
fn write(image: &dyn Image, options: &str, backing: Option<&Backing>, threads: usize) -> Result<Vec<u8>> {
    let convert = Convert { threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN), ..Convert::default() };
    write_with(&convert, image, options, backing)
}

/// The file that an empty disk of `size` bytes becomes with `options`.
fn empty(size: u64, options: &str) -> Result<Vec<u8>> {
    let options = Options::parse(options)?;
    let target = Arc::new(MemoryTarget::new());
    Vhd.create(target.clone(), &CreateRequest::new(size, &options))?.finish()?;
    Ok(target.to_vec())
}

/// A disk with text, noise and zeros, in runs that fit nothing.
fn disk(size: usize) -> Disk {
    let runs = [
        (0..513, Fill::Noise),
        (70_000..200_001, Fill::Text),
        (300_000..400_000, Fill::Zeros),
        (2_000_000..2_200_000, Fill::Noise),
        (5_242_000..5_243_300, Fill::Text),
    ];
    let within = runs.into_iter().filter(|(run, _)| run.start < size);
    let runs: Vec<_> = within.map(|(run, fill)| (run.start..run.end.min(size), fill)).collect();
    Disk::new("mixed", size, &runs)
}

/// The SHA-256 of `bytes`.
fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether an oracle is there: whether this command works.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn has(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = status.is_ok_and(|status| status.success());
    assert!(there || std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "{program} {args:?} does not work");
    if !there {
        eprintln!("skipped: {program} {args:?} does not work");
    }
    there
}

/// Runs a program in `folder` and returns what it prints.
fn run(folder: &Path, program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).current_dir(folder).output().expect("it is installed");
    let said = [output.stdout.clone(), output.stderr].concat();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
    output.stdout
}

/// Runs `qemu-img` in `folder` and returns what it prints.
fn qemu_img(folder: &Path, args: &[&str]) -> Vec<u8> {
    run(folder, "qemu-img", args)
}

/// The size of the disk in the file called `name`, as `qemu-img` sees it.
fn size_of(folder: &Path, name: &str) -> u64 {
    let said = qemu_img(folder, &["info", "-f", "vpc", "--output", "json", name]);
    let said: Value = serde_json::from_slice(&said).expect("it prints JSON");
    said["virtual-size"].as_u64().expect("it prints the size")
}

/// The SHA-256 of the disk in the first of `names`, whose parent is the next, and so on; as libvhdi sees it.
fn libvhdi(folder: &Path, names: &[&str]) -> String {
    let args = [&["-c", LIBVHDI], names].concat();
    String::from_utf8_lossy(&run(folder, "/usr/bin/python3", &args)).trim().to_owned()
}

/// Prints the SHA-256 of a disk.
const LIBVHDI: &str = "
import hashlib, pyvhdi, sys
files = []
for name in sys.argv[1:]:
    file = pyvhdi.file()
    file.open(name)
    files.append(file)
for child, parent in zip(files, files[1:]):
    child.set_parent(parent)
digest, left = hashlib.sha256(), files[0].get_media_size()
while left:
    part = files[0].read_buffer(min(left, 1 << 20))
    digest.update(part)
    left -= len(part)
print(digest.hexdigest())
";
