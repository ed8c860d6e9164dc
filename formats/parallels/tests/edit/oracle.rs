//! QEMU reads what is edited here, finds nothing wrong with it, and writes on. Skipped where `qemu-img` and `qemu-io` are not
//! installed; `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

use std::path::Path;
use std::process::{Command, Stdio};

use imgfmt_core::conformance::{Recording, Step, apply_to_model, check_edits, random_steps};
use imgfmt_core::{Erase, Preallocation};
use proptest::prelude::{any, proptest};

use crate::config;
use crate::images::{Layout, Named, edited, files_of, layouts, number, plain};

/// Whether the oracles are there.
fn has_qemu() -> bool {
    let is_there = |name| Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok();
    let there = is_there("qemu-img") && is_there("qemu-io");
    let is_required = std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_some_and(|value| value == "1");
    assert!(there || !is_required, "qemu-img and qemu-io are not installed");
    if !there {
        eprintln!("skipped: qemu-img and qemu-io are not installed");
    }
    there
}

/// Runs a program of QEMU in `folder`.
fn run(folder: &Path, program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).current_dir(folder).output().expect("it is installed");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && !said.contains("ERROR"), "{program} {args:?}: {said}");
}

/// A number of sectors near `tracks` that are a cluster in which QEMU finds its way: of others than powers of two it calls `data_off`
/// wrong, of its own images, too.
fn known_to_qemu(is_old: bool, tracks: usize) -> usize {
    if is_old { tracks } else { tracks.next_power_of_two() }
}

/// Checks that QEMU finds nothing wrong with `files`, reads `bytes`, and writes more than that where `writes` says what.
fn check(files: &Named, bytes: &[u8], writes: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.hds");
    std::fs::write(&path, &files[0].1).unwrap();
    std::fs::write(folder.path().join("wanted.raw"), bytes).unwrap();
    run(folder.path(), "qemu-img", &["check", "-f", "parallels", "disk.hds"]);
    if !bytes.is_empty() {
        run(folder.path(), "qemu-img", &["compare", "-f", "parallels", "-F", "raw", "disk.hds", "wanted.raw"]);
    }
    let mut model = bytes.to_vec();
    for step in writes {
        let Step::Write(at, len, value) = step else { continue };
        let command = format!("write -P {value} {at} {len}");
        run(folder.path(), "qemu-io", &["-f", "parallels", "-c", &command, "disk.hds"]);
        apply_to_model(&mut model, &[], step);
    }
    run(folder.path(), "qemu-img", &["check", "-f", "parallels", "disk.hds"]);
    let written = vec![("disk".to_owned(), std::fs::read(&path).unwrap())];
    assert!(edited(&written).read(&Recording::new(&written).files()).unwrap() == model);
    // And on from there.
    if !model.is_empty() {
        check_edits(&edited(&written), &[Step::Write(0, 1, 9), Step::Erase(0, model.len() as u64, Erase::Zero)]);
    }
}

/// The disk after `steps`.
fn disk(files: &Named, steps: &[Step]) -> Vec<u8> {
    let mut model = edited(files).read(&Recording::new(files).files()).unwrap();
    steps.iter().for_each(|step| apply_to_model(&mut model, &[], step));
    model
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn qemu_goes_on_with_what_is_edited(layout in layouts(), seed in any::<u64>()) {
        if !has_qemu() {
            return Ok(());
        }
        let files = files_of(&Layout { tracks: known_to_qemu(layout.is_old, layout.tracks), ..layout.clone() });
        let steps = random_steps(&edited(&files), seed, 10, layout.sectors as u64 * 512, 512);
        let bytes = disk(&files, &steps);
        let after = check_edits(&edited(&files), &steps);
        let end = bytes.len() as u64;
        let writes: &[Step] = if end == 0 { &[] } else { &[Step::Write(0, 512, 5), Step::Write(end - 512, 512, 6)] };
        // What was not changed is as it was: without the end of its last cluster, say, which QEMU calls damage. To it, clusters that are
        // not stored end behind a file that is shorter than a cluster.
        if after != files && after[0].1.len() >= number(&after[0].1, 28) * 512 {
            check(&after, &bytes, writes);
        }
    }
}

#[test]
fn qemu_goes_on_where_the_bat_got_room() {
    if !has_qemu() {
        return;
    }
    for is_old in [false, true] {
        for tracks in [1, 2, 63] {
            let tracks = known_to_qemu(is_old, tracks);
            let files = files_of(&Layout { tracks, ..plain(is_old, tracks * 9) });
            let size = tracks as u64 * 512 * 300;
            let steps = [
                Step::Write(1024, 512, 3),
                Step::Resize(size, Preallocation::Off),
                Step::Erase(0, 512 * tracks as u64, Erase::Zero),
                Step::Write(size / 2, 5000, 4),
            ];
            let after = check_edits(&edited(&files), &steps);
            let writes = [0, 1, 5, 100, 299].map(|index| Step::Write(index * tracks as u64 * 512, 512, 7));
            check(&after, &disk(&files, &steps), &writes);
            let steps = [&steps[..], &[Step::Resize(512 * tracks as u64, Preallocation::Off)]].concat();
            check(&check_edits(&edited(&files), &steps), &disk(&files, &steps), &[Step::Write(0, 512, 8)]);
        }
    }
}
