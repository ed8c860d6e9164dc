//! Glance: import plugins that look at an image, convert it, and look again. Any word on standard error is a failure.

use crate::desk::Desk;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.disk("src.raw", 4 << 20, &[0, 1 << 20]);
    desk.ok("convert -f raw -O qcow2 src.raw src.qcow2");
    desk.ok("convert -f raw -O vmdk src.raw src.vmdk");
    desk
}

#[test]
fn an_import_is_looked_at_converted_and_looked_at_again() {
    let desk = desk();
    for format in ["qcow2", "vmdk"] {
        let info = desk.json(&format!("info -f {format} --output=json src.{format}"));
        assert_eq!((info["format"].as_str(), info["virtual-size"].as_u64()), (Some(format), Some(4 << 20)));
        assert!(info.get("backing-filename").is_none());
        assert!(
            info["format-specific"]["data"].is_object() && info["format-specific"]["data"].get("data-file").is_none()
        );
        assert_eq!(desk.ok(&format!("convert -f {format} -O raw src.{format} dst.raw")), "");
        assert!(desk.read("dst.raw") == desk.read("src.raw"));
        assert_eq!(desk.json("info --output=json dst.raw")["format"], "raw");
    }
    assert_eq!(
        desk.json("info -f vmdk --output=json src.vmdk")["format-specific"]["data"]["create-type"],
        "monolithicSparse"
    );
    desk.ok("convert -f qcow2 -O vmdk src.qcow2 dst.vmdk");
    desk.ok("convert -f vmdk -O vhdx src.vmdk dst.vhdx");
    desk.ok("convert -f vmdk -O vpc src.vmdk dst.vhd");
    assert_eq!(desk.json("info -f vpc --output=json dst.vhd")["format"], "vpc");
}

#[test]
fn what_names_other_files_shows_them() {
    let desk = desk();
    desk.ok("create -f qcow2 -b src.qcow2 -F qcow2 top.qcow2");
    desk.ok("create -f qcow2 -o data_file=bytes.raw data.qcow2 1M");
    assert_eq!(desk.json("info -f qcow2 --output=json top.qcow2")["backing-filename"], "src.qcow2");
    let data = desk.json("info -f qcow2 --output=json data.qcow2");
    assert_eq!(data["format-specific"]["data"]["data-file"], "bytes.raw");
}

#[test]
fn the_name_that_glance_has_for_vhd_is_not_known() {
    let desk = desk();
    assert!(desk.fails("convert -f vhd -O raw src.raw dst.raw").contains("Unknown driver 'vhd'"));
    assert!(desk.fails("convert -f raw -O vhd src.raw dst.vhd").contains("Unknown file format 'vhd'"));
}

#[test]
fn legacy_imports_name_files_by_address() {
    let desk = desk();
    let folder = desk.folder();
    let info = desk.json(&format!("info --output=json file://{folder}/src.qcow2"));
    assert_eq!((info["format"].as_str(), info["virtual-size"].as_u64()), (Some("qcow2"), Some(4 << 20)));
    desk.ok(&format!("convert -f qcow2 -O raw file://{folder}/src.qcow2 dst.raw"));
    assert!(desk.read("dst.raw") == desk.read("src.raw"));
}
