//! Devices that are read.

use super::Device;
use crate::both::Both;

/// Runs lines in both, which answer the same.
fn same(both: &Both, device: &Device, lines: &[&str]) {
    for line in lines {
        both.same(&device.line(line));
    }
}

/// Runs lines in both, which print the same JSON, with what a file takes: it is the same device.
fn same_json(both: &Both, device: &Device, lines: &[&str]) {
    for line in lines {
        let (theirs, ours) = both.infos(&device.line(line));
        assert!(theirs.is_object() || theirs.is_array(), "{line}");
        assert_eq!(theirs, ours, "{line}");
    }
}

#[test]
fn a_disk_on_a_device_is_a_source() {
    let (Some(both), Some(device)) = (Both::new(), Device::new(4 << 20, 512)) else { return };
    both.disk("src.raw", 4 << 20, &[0, 1 << 20]);
    device.put(&both.ours.read("src.raw"));
    let infos = [
        "info --output=json DEV",
        "info --output=json -f raw DEV",
        "info --output=json --image-opts driver=raw,file.driver=host_device,file.filename=DEV",
        "map --output=json -f raw DEV",
        "measure -O qcow2 --output=json -f raw DEV",
        "measure -O raw --output=json DEV",
    ];
    same_json(&both, &device, &infos);
    let answers = [
        "info DEV",
        "info host_device:DEV",
        "map DEV",
        "map --output=json --start-offset 1M --max-length 2M -f raw DEV",
        "measure -O qcow2 DEV",
        "compare DEV src.raw",
        "check DEV",
        "snapshot -l DEV",
        "rebase -u -f raw -b other DEV",
        "resize -f raw DEV 8M",
        "resize -f raw DEV 4M",
        "resize -f raw DEV 2M",
        "resize -f raw --shrink DEV 2M",
    ];
    same(&both, &device, &answers);
    for (line, file, format) in [
        ("convert -f raw -O raw DEV out.raw", "out.raw", "raw"),
        ("convert -T none -f raw -O qcow2 DEV out.qcow2", "out.qcow2", "qcow2"),
        ("convert -f host_device -O qcow2 DEV out.qcow2", "out.qcow2", "qcow2"),
        ("convert -O qcow2 host_device:DEV out.qcow2", "out.qcow2", "qcow2"),
        ("dd -f raw -O qcow2 if=DEV of=part.qcow2 bs=1M skip=1 count=2", "part.qcow2", "qcow2"),
    ] {
        both.same(&device.line(line));
        both.same_content(file, format);
    }
}

#[test]
fn an_image_on_a_device_is_a_source() {
    let (Some(both), Some(device)) = (Both::new(), Device::new(8 << 20, 4096)) else { return };
    both.disk("src.raw", 4 << 20, &[0, 1 << 20]);
    device.fill();
    both.theirs_ok(&device.line("convert -f raw -O qcow2 src.raw DEV"));
    let infos = [
        "info --output=json DEV",
        "info --output=json -f qcow2 -U DEV",
        "check --output=json -f qcow2 DEV",
        "map --output=json -f qcow2 DEV",
        "measure -O qcow2 --output=json -f qcow2 DEV",
    ];
    same_json(&both, &device, &infos);
    same(&both, &device, &["info DEV", "map DEV", "check DEV", "compare -f qcow2 -F raw DEV src.raw"]);
    both.same(&device.line("convert -T none -f qcow2 -O raw DEV out.raw"));
    both.same_content("out.raw", "raw");
}

#[test]
fn a_device_is_a_backing_file_by_any_name_of_its_bytes() {
    let (Some(both), Some(device)) = (Both::new(), Device::new(4 << 20, 512)) else { return };
    both.disk("src.raw", 4 << 20, &[0, 1 << 20]);
    device.put(&both.ours.read("src.raw"));
    for format in ["raw", "host_device"] {
        both.make(&device.line(&format!("create -f qcow2 -b DEV -F {format} top.qcow2")), "top.qcow2");
        same_json(&both, &device, &["map --output=json top.qcow2"]);
        both.same("compare -f qcow2 -F raw top.qcow2 src.raw");
        both.same(&device.line(&format!("create -f qcow2 -b DEV -F {format} new.qcow2")));
        both.same_content("new.qcow2", "qcow2");
    }
    both.make("create -f qcow2 -b src.raw -F file top.qcow2", "top.qcow2");
    both.same("compare -f qcow2 -F raw top.qcow2 src.raw");
}

#[test]
fn a_device_is_no_file_and_a_file_no_device() {
    let (Some(both), Some(device)) = (Both::new(), Device::new(1 << 20, 512)) else { return };
    both.disk("reg", 1 << 20, &[0]);
    for line in [
        "info --image-opts driver=raw,file.driver=file,file.filename=DEV",
        "info --image-opts driver=file,filename=DEV",
        "info --image-opts driver=host_device,filename=reg",
        "info --image-opts driver=raw,file.driver=host_device,file.filename=reg",
        "info -f file DEV",
        "info -f host_device reg",
        "info file:DEV",
        "info host_device:reg",
        "map -f file DEV",
        "convert -f file -O qcow2 DEV out",
        "convert -n -f raw -O file reg DEV",
        "convert -n -f raw -O raw reg file:DEV",
        "convert -n -f raw -O raw reg host_device:reg",
        "convert -f raw -O raw reg host_device:new",
        "create -f host_device new 1M",
        "create -f qcow2 host_device:new 1M",
        "resize -f raw DEV 8M",
    ] {
        both.same_fault(&device.line(line));
    }
    for line in ["convert -f raw -O raw reg file:DEV", "create -f file DEV 1M", "create -f qcow2 file:DEV 1M"] {
        assert_eq!(both.same(&device.line(line)).code, Some(1), "{line}");
    }
}
