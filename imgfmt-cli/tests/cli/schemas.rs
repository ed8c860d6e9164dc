//! What the program prints for programs is what `docs/schemas/` says.

use std::path::Path;

use boon::{Compiler, Schemas};
use serde_json::Value;

use crate::desk::Desk;

/// Checks `text` against the schema called `name`.
fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/schemas/{name}.schema.json"));
    let schema: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let id = schema["$id"].as_str().unwrap().to_owned();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource(&id, schema).unwrap();
    let index = compiler.compile(&id, &mut schemas).unwrap();
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
    if let Err(error) = schemas.validate(&value, index) {
        panic!("{name}: {error:#}\n{text}");
    }
}

/// A desk with a disk in several formats.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.disk("disk.raw", 2 << 20, &[0, 1 << 20]);
    for target in ["qcow2", "vmdk", "vhd", "vhdx", "vdi"] {
        desk.ok(&format!("convert disk.raw disk.{target}"));
    }
    desk.ok("convert -c disk.raw small.qcow2");
    desk.ok("convert disk.raw disk.ova");
    desk.ok("create -b disk.raw -F raw top.qcow2");
    desk
}

#[test]
fn info_is_as_its_schema_says() {
    let desk = desk();
    for image in ["disk.raw", "disk.qcow2", "disk.vmdk", "disk.vhd", "disk.vhdx", "disk.vdi", "disk.ova", "small.qcow2"]
    {
        check("info", &desk.ok(&format!("info --partitions --output json {image}")));
    }
    check("info", &desk.ok("info --backing-chain --output json top.qcow2"));
}

#[test]
fn check_is_as_its_schema_says() {
    let desk = desk();
    for image in ["disk.raw", "disk.qcow2", "disk.vmdk", "disk.vhd", "disk.vhdx", "disk.vdi", "small.qcow2"] {
        check("check", &desk.ok(&format!("check --deep --output json {image}")));
    }
    // A damaged one, and the same mended: the first refcount block says that the header is not in use.
    let mut bytes = desk.read("disk.qcow2");
    let table = usize::try_from(u64::from_be_bytes(bytes[48..56].try_into().unwrap())).unwrap();
    let block = usize::try_from(u64::from_be_bytes(bytes[table..table + 8].try_into().unwrap())).unwrap();
    bytes[block..block + 2].fill(0);
    desk.write("damaged.qcow2", &bytes);
    let ran = desk.run("check --output json damaged.qcow2");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    check("check", &ran.stdout);
    let ran = desk.run("check -f qcow2 -r all --output json damaged.qcow2");
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    check("check", &ran.stdout);
}

#[test]
fn the_other_answers_are_as_their_schemas_say() {
    let desk = desk();
    for image in ["disk.raw", "disk.qcow2", "small.qcow2", "top.qcow2", "disk.vhdx"] {
        check("map", &desk.ok(&format!("map --output json {image}")));
    }
    check("map", &desk.ok("map --output json --start-offset 64k --max-length 1M disk.vmdk"));
    for target in ["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi"] {
        check("measure", &desk.ok(&format!("measure -O {target} --output json disk.raw")));
        check("measure", &desk.ok(&format!("measure -O {target} --output json --size 1G")));
    }
    check("compare", &desk.ok("compare --output json disk.vmdk disk.vhdx"));
    desk.disk("other.raw", 2 << 20, &[0]);
    check("compare", &desk.run("compare --output json disk.vmdk other.raw").stdout);
    check("hash", &desk.ok("hash -a sha256 -a sha512 -a blake3 --output json disk.vmdk disk.raw"));
    desk.ok("snapshot -f qcow2 -c first disk.qcow2");
    check("snapshot", &desk.ok("snapshot --output json disk.qcow2"));
    check("bench", &desk.ok("bench -c 10 --output json disk.qcow2"));
}

#[test]
fn what_was_written_is_as_its_schema_says() {
    let desk = desk();
    let value = answer(&desk, "convert", "convert disk.raw out.qcow2");
    assert_eq!(value["virtual-size"], 2 << 20, "{value}");
    let value = answer(&desk, "convert", "convert --verify --hash sha256 --hash blake3 --salvage disk.raw out.vmdk");
    let hash = desk.ok("hash disk.raw");
    assert_eq!(value["hashes"]["sha256"].as_str(), hash.split(' ').next(), "{value}");
    assert_eq!((&value["verified"], &value["lost"]["bytes"]), (&Value::from(true), &Value::from(0)), "{value}");
    answer(&desk, "convert", "convert -c disk.raw out.qcow2");
    answer(&desk, "dd", "dd -O qcow2 if=disk.vmdk of=part.qcow2 bs=64k count=3");
    let value = answer(&desk, "create", "create new.qcow2 1G");
    assert_eq!((&value["virtual-size"], value.get("backing-filename")), (&Value::from(1 << 30), None), "{value}");
    let value = answer(&desk, "create", "create -b disk.qcow2 -F qcow2 child.qcow2");
    assert_eq!((&value["virtual-size"], &value["backing-filename"]), (&Value::from(2 << 20), &"disk.qcow2".into()));
}

/// Where the image is on standard output, what was written is told on standard error.
#[test]
fn what_went_to_a_pipe_is_as_its_schema_says() {
    let desk = desk();
    desk.write("empty.raw", &[0; 4096]);
    for (name, line) in [("convert", "convert --hash sha256 -O raw empty.raw -"), ("dd", "dd if=empty.raw of=- bs=1k")]
    {
        let ran = desk.run(&format!("{line} --output json"));
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(0), 1), "{}", ran.stderr);
        check(name, &ran.stderr);
    }
}

#[test]
fn what_was_changed_is_as_its_schema_says() {
    let desk = desk();
    let value = answer(&desk, "resize", "resize -f qcow2 disk.qcow2 +1M");
    assert_eq!((&value["virtual-size-before"], &value["virtual-size"]), (&(2 << 20).into(), &(3 << 20).into()));
    let value = answer(&desk, "amend", "amend -f qcow2 -o lazy_refcounts=on disk.qcow2");
    assert_eq!(value["options"], serde_json::json!({ "lazy_refcounts": "on" }));
    answer(&desk, "bitmap", "bitmap -f qcow2 --add disk.qcow2 monday");
    let value = answer(&desk, "bitmap", "bitmap -f qcow2 --add --disable -g 32k disk.qcow2 tuesday");
    assert_eq!(value["bitmaps"][0]["flags"], serde_json::json!(["auto"]), "{value}");
    assert_eq!(value["bitmaps"][1], serde_json::json!({ "name": "tuesday", "granularity": 32768, "flags": [] }));
    let value = answer(&desk, "snapshot", "snapshot -f qcow2 -c first disk.qcow2");
    assert_eq!(value[0]["name"], "first", "{value}");
    assert_eq!(answer(&desk, "snapshot", "snapshot -f qcow2 -d first disk.qcow2"), serde_json::json!([]));
    let value = answer(&desk, "compact", "compact small.qcow2 smaller.qcow2");
    assert_eq!(value["filename"], "smaller.qcow2", "{value}");
    let value = answer(&desk, "replay", "replay disk.vhdx");
    assert_eq!((&value["replayed"], &value["written"]), (&Value::from(false), &Value::from(0)), "{value}");
}

#[test]
fn what_an_image_builds_on_is_as_its_schema_says() {
    let desk = desk();
    desk.disk("other.raw", 2 << 20, &[0]);
    let value = answer(&desk, "rebase", "rebase -f qcow2 -b other.raw -F raw top.qcow2");
    assert_eq!((&value["backing-filename"], &value["written"]), (&"other.raw".into(), &(64 << 10).into()), "{value}");
    let value = answer(&desk, "commit", "commit -f qcow2 top.qcow2");
    assert!(value["base"].as_str().unwrap().ends_with("other.raw"), "{value}");
    assert_eq!(value["written"], 64 << 10, "{value}");
    let value = answer(&desk, "rebase", "rebase -f qcow2 -u -b disk.raw -F raw top.qcow2");
    assert_eq!((&value["backing-filename-format"], &value["written"]), (&"raw".into(), &0.into()), "{value}");
    assert_eq!(answer(&desk, "rebase", "rebase -f qcow2 -b= top.qcow2").get("backing-filename"), None);
}

#[test]
fn options_are_as_their_schema_says() {
    let desk = desk();
    for line in [
        "create -f qcow2 -o help",
        "convert -O vmdk -o help",
        "amend -f qcow2 -o help",
        "convert -f qcow2 --open-options help",
    ] {
        let value = answer(&desk, "options", line);
        assert!(!value.as_array().unwrap().is_empty(), "{line}");
    }
}

/// Every command has a schema, and takes `--output json`.
#[test]
fn every_command_answers_programs() {
    let desk = Desk::new();
    for command in crate::golden::COMMANDS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/schemas/{command}.schema.json"));
        assert!(path.exists(), "{command}");
        assert!(desk.ok(&format!("{command} --help")).contains("--output <FORM>"), "{command}");
    }
}

/// Where standard output has the answer, progress does not go there.
#[test]
fn progress_stays_out_of_the_answer() {
    let desk = desk();
    let ran = desk.run("convert --output json --progress percent disk.raw out.qcow2");
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    check("convert", &desk.ok("convert --output json -p disk.raw out.qcow2"));
    check("hash", &desk.ok("hash --output json -p disk.raw"));
}

/// What `line` answers to programs, checked against the schema called `name`.
fn answer(desk: &Desk, name: &str, line: &str) -> Value {
    let text = desk.ok(&format!("{line} --output json"));
    check(name, &text);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn progress_is_as_its_schema_says() {
    let desk = desk();
    let ran = desk.run("convert --progress json disk.raw out.qcow2");
    check("progress", ran.stderr.lines().last().unwrap());
    let ran = desk.run("check --deep --progress json small.qcow2");
    let last = ran.stderr.lines().last().unwrap();
    check("progress", last);
    let value: Value = serde_json::from_str(last).unwrap();
    assert_eq!((&value["done"], &value["size"]), (&Value::from(2 << 20), &Value::from(2 << 20)), "{last}");
    assert_eq!(desk.run("check --progress json small.qcow2").stderr, "");
    let bytes = desk.read("disk.vmdk");
    desk.write("cut.vmdk", &bytes[..bytes.len() - 1000]);
    let ran = desk.run("convert --salvage --progress json cut.vmdk out.raw");
    let last = ran.stderr.lines().rfind(|line| line.starts_with('{')).unwrap();
    check("progress", last);
    let value: Value = serde_json::from_str(last).unwrap();
    assert_eq!((&value["lost"]["bytes"], &value["lost"]["exact"]), (&Value::from(1024), &Value::from(true)), "{last}");
}
