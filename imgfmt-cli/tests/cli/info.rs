//! `imgfmt info`: what it says, and what it does not touch.

use crate::desk::Desk;
use serde_json::{Value, json};

/// What `imgfmt info --output json` says.
fn info(desk: &Desk, line: &str) -> Value {
    serde_json::from_str(&desk.ok(&format!("info --output json {line}"))).unwrap()
}

#[test]
fn a_raw_image_is_what_qemu_img_says_and_counted() {
    let desk = Desk::new();
    desk.disk("a", (1 << 20) + 512, &[0]);
    let json = info(&desk, "a");
    for (key, value) in [
        ("filename", json!("a")),
        ("format", json!("raw")),
        ("virtual-size", json!((1 << 20) + 512)),
        ("dirty-flag", json!(false)),
    ] {
        assert_eq!(json[key], value, "{key}");
    }
    assert!(json["actual-size"].as_u64().unwrap() >= 65_536);
    assert_eq!(json["bytes"]["data"].as_u64().unwrap() + json["bytes"]["absent"].as_u64().unwrap(), (1 << 20) + 512);
    let child = &json["children"][0];
    assert_eq!((&child["name"], &child["info"]["format"]), (&json!("file"), &json!("file")));
    for absent in ["encrypted", "cluster-size", "backing-filename", "snapshots", "format-specific"] {
        assert!(json.get(absent).is_none(), "{absent}");
    }
    assert!(info(&desk, "--no-count a").get("bytes").is_none());
}

#[test]
fn people_get_lines() {
    let desk = Desk::new();
    desk.disk("a", 1 << 20, &[0]);
    desk.ok("convert -O qcow2 a q");
    let text = desk.ok("info q");
    for line in [
        "image: q\n",
        "file format: qcow2\n",
        "virtual size: 1 MiB (1048576 bytes)\n",
        "cluster_size: 65536\n",
        "content:\n    stored: 64 KiB (65536 bytes)\n    not allocated: 960 KiB (983040 bytes)\n",
        "Format specific information:\n    compat: 1.1\n    compression type: zlib\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn a_missing_backing_file_matters_only_to_the_chain() {
    let desk = Desk::new();
    desk.disk("base", 1 << 20, &[0]);
    desk.ok("convert -O qcow2 -B base -F raw base top");
    let chain = info(&desk, "--backing-chain top");
    let names: Vec<_> = chain.as_array().unwrap().iter().map(|layer| &layer["format"]).collect();
    assert_eq!(names, ["qcow2", "raw"]);
    std::fs::remove_file(desk.path("base")).unwrap();
    let json = info(&desk, "top");
    assert_eq!(json["backing-filename"], "base");
    assert_eq!(json["backing-filename-format"], "raw");
    assert!(desk.ok("info top").contains("backing file: base\nbacking file format: raw\n"));
    let said = desk.fails("info --backing-chain top");
    assert!(said.starts_with("imgfmt: cannot open top: "), "{said}");
    assert!(said.contains("No such file or directory"), "{said}");
}

#[test]
fn an_image_that_is_not_there_is_said_in_the_systems_words() {
    let desk = Desk::new();
    let said = desk.fails("info none");
    assert_eq!(said, "imgfmt: cannot open none: No such file or directory (os error 2)\n");
}
