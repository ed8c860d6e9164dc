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
    let ran = desk.run("convert --progress json disk.raw out.qcow2");
    check("progress", ran.stderr.lines().last().unwrap());
    let bytes = desk.read("disk.vmdk");
    desk.write("cut.vmdk", &bytes[..bytes.len() - 1000]);
    let ran = desk.run("convert --salvage --progress json cut.vmdk out.raw");
    let last = ran.stderr.lines().rfind(|line| line.starts_with('{')).unwrap();
    check("progress", last);
    let value: Value = serde_json::from_str(last).unwrap();
    assert_eq!((&value["lost"]["bytes"], &value["lost"]["exact"]), (&Value::from(1024), &Value::from(true)), "{last}");
}
