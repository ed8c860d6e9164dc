//! `qemu-img check` counts what is counted here, and finds nothing after a repair. Skipped where it is not installed;
//! `IMGFMT_REQUIRE_ORACLES=1` makes that a failure.

use std::path::Path;
use std::process::Command;

use imgfmt_core::conformance::Noise;
use imgfmt_core::{CheckStats, Findings, Repair, Severity};
use serde_json::Value;

use crate::image::{COPIED, Image};
use crate::provoke::samples;
use crate::{damages, qemu::has_qemu_img};

#[test]
fn samples_are_counted_as_qemu_img_counts_them() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for (name, image) in samples() {
        compared += u32::from(agree(folder.path(), &image, &name));
    }
    assert!(compared > 45, "{compared}");
}

#[test]
fn damaged_refcounts_and_flags_are_counted_as_qemu_img_counts_them() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut noise = Noise(0xc0ffee);
    for options in [
        "cluster_size=512",
        "cluster_size=512,refcount_bits=64",
        "refcount_bits=4,cluster_size=1k",
        "compat=0.10,cluster_size=4k",
        "extended_l2=on,cluster_size=16k",
    ] {
        for compress in [false, true] {
            for round in 0..4 {
                let mut image = Image::written(options, compress);
                harm(&mut image, &mut noise);
                let name = format!("{options} {compress} {round}");
                assert!(agree(folder.path(), &image, &name), "{name}");
                let content = image.content();
                image.repair(Repair::All);
                assert!(content.is_some() && image.content() == content, "{name}: another disk");
                std::fs::write(folder.path().join("disk.qcow2"), &image.0).unwrap();
                assert_eq!(check(folder.path()).unwrap().0, 0, "{name}: {:?}", check(folder.path()));
            }
        }
    }
}

#[test]
fn qemu_img_finds_nothing_in_what_was_made_anew() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for damage in damages::all().into_iter().filter(|damage| damage.repair == Some(Repair::All)) {
        let mut image = damage.image;
        image.repair(Repair::All);
        std::fs::write(folder.path().join("disk.qcow2"), &image.0).unwrap();
        let (code, said) = check(folder.path()).unwrap();
        assert_eq!(code, 0, "{}: {said:?}", damage.id);
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn a_huge_empty_disk_and_snapshots_are_counted_as_qemu_img_counts_them() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| crate::qemu::qemu_img(folder.path(), args);
    run(&["create", "-f", "qcow2", "disk.qcow2", "64T"]);
    let file = std::fs::read(folder.path().join("disk.qcow2")).unwrap();
    assert!(agree(folder.path(), &Image(file), "64 TiB"));
    run(&["create", "-f", "qcow2", "-o", "cluster_size=4k", "disk.qcow2", "10M"]);
    for index in 0..4 {
        let write = format!("write -P {index} {}k 500k", index * 300);
        crate::qemu::run("qemu-io", folder.path(), &["-f", "qcow2", "-c", &write, "disk.qcow2"]);
        run(&["snapshot", "-c", &format!("s{index}"), "disk.qcow2"]);
    }
    run(&["bitmap", "--add", "--enable", "-g", "4k", "disk.qcow2", "changes"]);
    crate::qemu::run("qemu-io", folder.path(), &["-f", "qcow2", "-c", "write 100k 9k", "disk.qcow2"]);
    let mut image = Image(std::fs::read(folder.path().join("disk.qcow2")).unwrap());
    assert!(agree(folder.path(), &image, "snapshots and a bitmap"));
    assert_eq!(image.check().0.total(), 0, "{:?}", image.check().0.kept());
    image.set_refcount(image.host(30) / 4096, 1);
    image.set_refcount(image.u64(image.l1_at(0)) % (1 << 56) / 4096, 7);
    assert!(agree(folder.path(), &image, "snapshots with wrong counts"));
}

/// Changes refcounts and flags, and drops entries.
fn harm(image: &mut Image, noise: &mut Noise) {
    let clusters = image.0.len() as u64 / image.cluster_len();
    for _ in 0..=noise.below(6) {
        let cluster = noise.below(clusters);
        image.set_refcount(cluster, noise.below(4));
    }
    let plain = image.plain();
    for _ in 0..noise.below(4) {
        let Some(&index) = plain.get(usize::try_from(noise.below(plain.len().max(1) as u64)).unwrap()) else { break };
        let at = image.l2_at(index);
        match noise.below(3) {
            0 => image.change(at, |entry| entry ^ COPIED),
            1 => image.change(at, |_| 0),
            _ => {
                let other = image.u64(image.l2_at(plain[0]));
                image.put(at, other);
            }
        }
        if noise.below(3) == 1 {
            image.change(image.l1_at(0), |entry| entry ^ COPIED);
        }
    }
    if image.u32(4) == 3 && image.u64(72) & 1 << 4 != 0 {
        // An entry that was dropped has no stored subclusters.
        for index in 0..8 {
            if !damages::names(image.u64(image.l2_at(index))) {
                image.put(image.l2_at(index) + 8, 0);
            }
        }
    }
}

/// Compares the check of `image` with that of qemu-img; false where qemu-img does not open it.
fn agree(folder: &Path, image: &Image, name: &str) -> bool {
    std::fs::write(folder.join("disk.qcow2"), &image.0).unwrap();
    for other in ["chain-base.raw", "chain base.raw", "data-file.bin"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/qcow2/valid").join(other);
        std::fs::copy(from, folder.join(other)).unwrap();
    }
    let Some((code, said)) = check(folder) else { return false };
    let (findings, stats) = image.check();
    let number = |name: &str| said[name].as_u64().unwrap_or(0);
    let expected = CheckStats {
        total_units: number("total-clusters"),
        allocated_units: number("allocated-clusters"),
        fragmented_units: number("fragmented-clusters"),
        compressed_units: number("compressed-clusters"),
        image_end: Some(number("image-end-offset")),
    };
    assert_eq!(stats, expected, "{name}");
    let (leaks, corruptions) = (findings.open(Severity::Leak), findings.open(Severity::Corruption));
    assert_eq!((leaks, corruptions), (number("leaks"), number("corruptions")), "{name}: {:?}", findings.kept());
    assert_eq!(class(&findings), code, "{name}");
    true
}

/// The exit code that says what was found.
fn class(findings: &Findings) -> i32 {
    match (findings.open(Severity::Corruption), findings.open(Severity::Leak)) {
        (0, 0) => 0,
        (0, _) => 3,
        _ => 2,
    }
}

/// What `qemu-img check` says of the image in `folder`, and its exit code; nothing where it does not open it.
fn check(folder: &Path) -> Option<(i32, Value)> {
    let output = Command::new("qemu-img")
        .args(["check", "--output=json", "-f", "qcow2", "disk.qcow2"])
        .current_dir(folder)
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    if code == 1 {
        return None;
    }
    Some((code, serde_json::from_slice(&output.stdout).unwrap()))
}
