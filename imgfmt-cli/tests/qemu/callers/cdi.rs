//! KubeVirt's data importer, libguestfs, and uploaders.

use crate::desk::Desk;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.disk("src.raw", 4 << 20, &[0, 1 << 20]);
    desk.ok("convert -f raw -O qcow2 src.raw src.qcow2");
    desk
}

/// The percentages that the importer finds in the output.
fn percentages(text: &str) -> Vec<&str> {
    text.split('\r').filter_map(|line| line.trim().strip_prefix('(')?.strip_suffix("/100%)")).collect()
}

#[test]
fn addresses_are_described_or_refused_at_once() {
    let desk = desk();
    assert_eq!(desk.json("info --output=json src.qcow2")["format"], "qcow2");
    assert_eq!(desk.json(&format!("info --output=json file://{}/src.qcow2", desk.folder()))["format"], "qcow2");
    let told = desk.fails("info --output=json nbd+unix:///?socket=/run/nbd.sock");
    assert!(told.contains("nbd+unix"), "{told}");
}

#[test]
fn conversions_show_how_far_they_are() {
    let desk = desk();
    for line in [
        "convert -t none -p -O raw src.qcow2 dst.raw",
        "convert -t writeback -p -O raw -o preallocation=falloc src.qcow2 dst.raw",
        "convert -t writeback -p -O raw -o preallocation=full src.qcow2 dst.raw",
        "convert -S 0 -t none -p -O raw src.qcow2 dst.raw",
    ] {
        let shown = desk.ok(line);
        let shown = percentages(&shown);
        assert_eq!((shown.first(), shown.last()), (Some(&"0.00"), Some(&"100.00")), "{line}");
        assert!(desk.read("dst.raw") == desk.read("src.raw"), "{line}");
    }
    let told = desk.fails("convert -t none -p -O raw -o preallocation=metadata src.qcow2 dst2.raw");
    assert!(told.contains("Unsupported preallocation mode"), "{told}");
}

#[test]
fn disks_are_made_and_grow() {
    let desk = desk();
    desk.ok("create -f raw blank.img 8388608 -o preallocation=falloc");
    desk.ok("create -f raw blank.img 8388608");
    desk.ok("resize -f raw blank.img 16777216");
    desk.ok("resize --preallocation=falloc -f raw blank.img 20971520");
    assert_eq!(desk.json("info --output=json blank.img")["virtual-size"], 20 << 20);
    assert_eq!(desk.read("blank.img").len(), 20 << 20);
}

#[test]
fn deltas_are_rebased_and_committed() {
    let desk = desk();
    desk.ok("create -f qcow2 -o backing_file=old.raw,backing_fmt=raw -u delta.qcow2 4M");
    std::fs::copy(desk.path("src.raw"), desk.path("base.raw")).unwrap();
    let line = "rebase -p -u -F raw -b base.raw";
    desk.guessed_then_named(&format!("{line} delta.qcow2"), "delta.qcow2", &format!("{line} -f qcow2 delta.qcow2"));
    let shown = desk.guessed_then_named("commit -p delta.qcow2", "delta.qcow2", "commit -p -f qcow2 delta.qcow2");
    assert!(shown.ends_with("Image committed.\n"), "{shown}");
    assert_eq!(percentages(&shown).last(), Some(&"100.00"));
    assert!(desk.read("base.raw") == desk.read("src.raw"));
}

#[test]
fn libguestfs_and_uploaders_get_what_they_ask_for() {
    let desk = desk();
    assert_eq!(desk.json("info -U --output json ./src.qcow2")["format"], "qcow2");
    desk.ok("dd -f qcow2 -O raw bs=1M count=2 if=src.qcow2 of=part.raw");
    assert!(desk.read("part.raw") == desk.read("src.raw")[..2 << 20]);
}
