//! `check`.

use crate::both::Both;

/// Byte of the first refcount block of a small image that `qemu-img` made.
const REFCOUNTS: usize = 0x20000;

fn both() -> Option<Both> {
    let both = Both::new()?;
    both.disk("raw", 4 << 20, &[0, 1 << 20]);
    both.make("convert -O qcow2 raw img", "img");
    Some(both)
}

#[test]
fn whole_images() {
    let Some(both) = both() else { return };
    both.make("convert -c -O qcow2 raw small", "small");
    for line in
        ["img", "--output=json img", "-q img", "-f qcow2 -U img", "-r all -f qcow2 img", "small", "--output json small"]
    {
        assert_eq!(both.same(&format!("check {line}")).code, Some(0), "{line}");
    }
}

#[test]
fn a_quiet_check_prints_nothing() {
    let Some(both) = both() else { return };
    both.make("create -f vmdk img.vmdk 4M", "img.vmdk");
    for line in ["--output=json -q img", "--output=json -q img.vmdk", "--output=json -q -r all -f qcow2 img"] {
        assert_eq!(both.same(&format!("check {line}")).stdout, "", "{line}");
    }
}

#[test]
fn what_is_not_known_is_not_taken_for_what_is_not_checked() {
    let Some(both) = both() else { return };
    let sound = both.ours.read("img");
    // The version, the kind of encryption, an incompatible feature, the kind of compression.
    for (at, bytes) in [(4, [0, 0, 0, 9]), (32, [0, 0, 0, 9]), (72, [0x80, 0, 0, 0]), (104, [9, 0, 0, 0])] {
        both.patch("img", at, &bytes);
        assert_eq!(both.same("check img").code, Some(1), "byte {at}");
        both.patch("img", 0, &sound[..112]);
    }
    // A footer that is damaged, and the header with it.
    both.make("convert -O vpc raw img.vpc", "img.vpc");
    both.patch("img.vpc", 512, b"garbage!");
    assert_eq!(both.same("check -f vpc img.vpc").code, Some(1));
}

#[test]
fn damage_to_a_header_is_found() {
    let Some(both) = both() else { return };
    both.make("convert -O vhdx raw img.vhdx", "img.vhdx");
    both.patch("img", 20, &[0, 0, 0, 5]);
    both.patch("img.vhdx", 65_540, &[1, 2, 3, 4]);
    both.patch("img.vhdx", 131_076, &[1, 2, 3, 4]);
    // QEMU cannot open such an image, and so ends with 1.
    for (file, offset) in [("img", 20), ("img.vhdx", 65_540)] {
        let ran = both.ours.run(&format!("check --output=json {file}"));
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, &report["corruptions"]), (Some(2), &1.into()), "{file}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("host byte {offset}: ")), "{file}: {}", ran.stderr);
    }
}

#[test]
fn formats_that_cannot_be_checked() {
    let Some(both) = both() else { return };
    for line in ["raw", "-f raw img", "--output=json raw"] {
        assert_eq!(both.same(&format!("check {line}")).code, Some(63), "{line}");
    }
}

#[test]
fn formats_of_which_little_is_counted() {
    let Some(both) = both() else { return };
    for format in ["vmdk", "vhdx", "vdi"] {
        both.make(&format!("convert -O {format} raw other"), "other");
        for line in ["other", "--output=json other"] {
            assert_eq!(both.same(&format!("check {line}")).code, Some(0), "{format} {line}");
        }
    }
}

#[test]
fn parallels_images() {
    let Some(both) = both() else { return };
    for options in ["cluster_size=1M", "cluster_size=64k"] {
        both.make(&format!("convert -O parallels -o {options} raw other"), "other");
        for line in ["other", "--output=json other", "-r all -f parallels other"] {
            assert_eq!(both.same(&format!("check {line}")).code, Some(0), "{options} {line}");
        }
    }
    // An image that is open, and one that does not say where its first cluster is.
    for (at, bytes, code) in [(44, *b"Ynot", 2), (48, [0; 4], 2)] {
        both.make("convert -O parallels raw other", "other");
        both.patch("other", at, &bytes);
        for line in ["other", "--output=json other"] {
            assert_eq!(both.same(&format!("check {line}")).code, Some(code), "{at} {line}");
        }
        assert_eq!(both.same("check -r all -f parallels other").code, Some(0), "{at}");
        both.sound("other");
    }
    both.make("convert -O parallels raw other", "other");
    for desk in both.desks() {
        let mut longer = desk.read("other");
        longer.resize(longer.len() + (1 << 20) + 70_000, 1);
        desk.write("other", &longer);
    }
    for line in ["other", "--output=json other"] {
        assert_eq!(both.same(&format!("check {line}")).code, Some(3), "{line}");
    }
    assert_eq!(both.same("check -r leaks -f parallels other").code, Some(0));
    both.sound("other");
}

#[test]
fn blocks_that_are_counted_wrong_are_damage() {
    let Some(both) = both() else { return };
    // The count of blocks is too small; too large; and then it is right, and a block is named twice.
    for (at, value) in [(388, 1), (388, 9), (516, 0)] {
        both.make("convert -O vdi raw other", "other");
        both.patch("other", at, &[value]);
        for line in ["other", "--output=json other"] {
            assert_eq!(both.same(&format!("check {line}")).code, Some(2), "{at} {value}");
        }
        assert_eq!(both.ours.run("check -r all -f vdi other").code, Some(0), "{at} {value}");
        both.sound("other");
    }
}

#[test]
fn leaks_are_3_and_damage_is_2() {
    let Some(both) = both() else { return };
    // The refcount of a cluster that nothing uses becomes 1.
    both.write("img", "qcow2", "write 0 3M");
    let end = both.ours.read("img").len() / 65_536;
    let mut longer = both.ours.read("img");
    longer.resize((end + 1) * 65_536, 0);
    both.ours.write("img", &longer);
    both.ours_patch("img", REFCOUNTS + 2 * end, &[0, 1]);
    let ran = both.ours.run("check --output=json img");
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((told["leaks"].as_u64(), told["check-errors"].as_u64()), (Some(1), Some(0)));
    let ran = both.ours.run("check -r leaks -f qcow2 img");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("1 leaked clusters"), "{}", ran.stdout);
    both.sound("img");

    both.ours_patch("img", REFCOUNTS + 2 * 5, &[0, 0]);
    assert_eq!(both.ours.run("check img").code, Some(2));
    assert_eq!(both.ours.run("check -r all -f qcow2 img").code, Some(0));
    both.sound("img");
}

#[test]
fn new_images_are_sound() {
    let Some(both) = Both::new() else { return };
    both.disk("a.raw", 40 << 20, &[0, 39 << 20]);
    for line in [
        "-f vhdx x 10G",
        "-f vhdx x 8T",
        "-f vhdx -o block_size=1M x 100M",
        "-f vhdx -o subformat=fixed x 10M",
        "-f vdi x 1T",
        "-f vdi -o static=on x 10M",
        "-f parallels x 1G",
        "-f qcow2 -o preallocation=metadata x 1G",
        "-f vmdk x 10G",
        "-f vmdk -o subformat=streamOptimized x 10G",
    ] {
        both.make(&format!("create -q {line}"), "x");
        both.same("check -q x");
    }
    for format in
        ["vhdx", "vhdx -o block_size=1M", "vdi", "parallels", "qcow2 -c", "vmdk", "vmdk -o subformat=streamOptimized"]
    {
        both.make(&format!("convert -f raw -O {format} a.raw x"), "x");
        both.same("check -q x");
    }
}
