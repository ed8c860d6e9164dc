//! KubeVirt's data importer, libguestfs, and uploaders.

use crate::desk::Desk;
use crate::servers::{Server, are_there};

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
    let told = desk.fails("info --output=json nbd+unix:///?socket=/nowhere/nbd.sock");
    assert!(told.contains("Failed to connect to '/nowhere/nbd.sock': No such file or directory"), "{told}");
}

#[test]
fn what_nbdkit_serves_is_described_and_converted() {
    if !are_there(&["nbdkit"]) {
        return;
    }
    let desk = desk();
    desk.write("src.qcow2.gz", gzip(&desk.read("src.qcow2")));
    let folder = desk.folder();
    let begin =
        "--foreground --readonly --exit-with-parent -U nbd.sock --pidfile nbd.pid --filter=readahead --filter=retry";
    for (image, plugin) in [("src.qcow2", "-r file"), ("src.raw", "-r file"), ("src.qcow2.gz", "--filter=gzip -r file")]
    {
        let _ = std::fs::remove_file(desk.path("nbd.sock"));
        let _server = Server::start(&desk, "nbdkit", &format!("{begin} {plugin} {image}"), "nbd.pid");
        let url = format!("nbd+unix:///?socket={folder}/nbd.sock");
        let info = desk.json(&format!("info --output=json {url}"));
        assert_eq!(info["format"], if image.ends_with("raw") { "raw" } else { "qcow2" });
        assert_eq!((info["virtual-size"].as_u64(), info.get("actual-size")), (Some(4 << 20), None));
        for line in ["convert -t none -p -O raw", "convert -S 0 -t writeback -p -O raw"] {
            let shown = desk.ok(&format!("{line} {url} dst.raw"));
            assert_eq!(percentages(&shown).last(), Some(&"100.00"), "{line}");
            assert!(desk.read("dst.raw") == desk.read("src.raw"), "{image}: {line}");
        }
        std::fs::remove_file(desk.path("nbd.pid")).unwrap();
    }
}

/// The bytes as `gzip` packs them.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut gzip = std::process::Command::new("gzip")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    gzip.stdin.take().unwrap().write_all(bytes).unwrap();
    gzip.wait_with_output().unwrap().stdout
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
