//! Nova: images of machines, mostly overlays of a base image in another folder.

use crate::desk::{Desk, Ran};

fn desk() -> Desk {
    let desk = Desk::new();
    for folder in ["_base", "instance"] {
        std::fs::create_dir(desk.path(folder)).unwrap();
    }
    desk.disk("_base/base.raw", 4 << 20, &[0, 1 << 20]);
    desk.ok("convert -t writeback -O qcow2 -f raw _base/base.raw _base/base");
    desk.write("secret", "hunter2");
    desk.write("secret2", "hunter3");
    desk
}

/// Runs a line with the environment that Nova gives.
fn env(desk: &Desk, line: &str) -> Ran {
    let mut command = desk.command("env", "LC_ALL=C LANG=C");
    Ran::from(command.arg(desk.program()).args(crate::desk::words(line)).output().unwrap())
}

#[test]
fn images_are_described() {
    let desk = desk();
    let folder = desk.folder();
    for format in ["", "-f qcow2"] {
        let ran = env(&desk, &format!("info {folder}/_base/base --force-share --output=json {format}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        let info: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((info["format"].as_str(), info["virtual-size"].as_u64()), (Some("qcow2"), Some(4 << 20)));
        assert!(info["actual-size"].is_u64() && info["cluster-size"] == 65536);
        for absent in ["backing-filename", "encrypted", "snapshots"] {
            assert!(info.get(absent).is_none(), "{absent}");
        }
    }
}

#[test]
fn what_qemu_encrypts_for_it_is_read() {
    if !crate::servers::are_there(&["qemu-img"]) {
        return;
    }
    let desk = desk();
    let encrypt =
        "cipher-alg=aes-256,@cipher-mode=xts,@hash-alg=sha256,@iter-time=20,@ivgen-alg=plain64,@ivgen-hash-alg=sha256";
    for (format, prefix) in [("luks", ""), ("qcow2", "encrypt.")] {
        let luks = if prefix.is_empty() { "" } else { "encrypt.format=luks," };
        let options = format!("{luks}{prefix}key-secret=sec1,{prefix}{}", encrypt.replace('@', prefix));
        let line = format!("create -q -f {format} --object secret,id=sec1,file=secret -o {options} x 1M");
        assert!(desk.command("qemu-img", &line).status().unwrap().success(), "{line}");
        assert_eq!(desk.json(&format!("info --output=json -f {format} x"))["format"], format);
        let opts = format!("driver={format},file.filename=x,{prefix}key-secret=sec1");
        desk.ok(&format!("convert --object secret,id=sec1,file=secret --image-opts {opts} -O raw x.raw"));
        assert!(desk.read("x.raw").len() == 1 << 20);
    }
}

#[test]
fn an_overlay_is_made_while_a_machine_runs_on_its_base() {
    if !crate::servers::are_there(&["qemu-nbd"]) {
        return;
    }
    let desk = desk();
    std::fs::copy(desk.path("_base/base"), desk.path("base.qcow2")).unwrap();
    let _machine = crate::servers::Server::start(&desk, "qemu-nbd", "-f qcow2 -t -k HERE/s base.qcow2", "s");
    desk.ok("create -f qcow2 -o backing_file=base.qcow2,backing_fmt=qcow2 over.qcow2");
    desk.ok("create -f qcow2 -o backing_file=base.qcow2,backing_fmt=qcow2 over.qcow2 8M");
    let told = desk.fails("create -f qcow2 base.qcow2 8M");
    assert!(told.contains("Failed to get \"write\" lock"), "{told}");
}

#[test]
fn an_image_that_is_not_there_is_said_to_be_missing() {
    let desk = desk();
    let ran = env(&desk, "info /nowhere/disk --force-share --output=json");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("No such file or directory"), "{}", ran.stderr);
    let ran = env(&desk, "info rbd:pool/name:id=user --force-share --output=json");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("rbd"), "{}", ran.stderr);
}

#[test]
fn images_are_converted() {
    let desk = desk();
    desk.ok("convert -t none -O raw -f qcow2 _base/base out.raw");
    assert!(desk.read("out.raw") == desk.read("_base/base.raw"));
    desk.ok("convert -t writeback -O qcow2 -f raw -c _base/base.raw out.qcow2");
    desk.ok("convert -t none -O raw out.qcow2 out.raw");
    assert!(desk.read("out.raw") == desk.read("_base/base.raw"));
    for format in ["vmdk", "vhdx", "vdi", "parallels"] {
        desk.ok(&format!("convert -t none -O {format} -f qcow2 _base/base out.{format}"));
    }
    desk.ok("convert -t none -O raw -f parallels out.parallels out.raw");
    assert!(desk.read("out.raw") == desk.read("_base/base.raw"));
}

#[test]
fn disks_of_containers_are_described_and_converted() {
    let desk = desk();
    let folder = desk.folder();
    std::fs::create_dir(desk.path("ploop")).unwrap();
    desk.ok("convert -t none -O parallels -f raw _base/base.raw ploop/root.hds");
    desk.write("ploop/DiskDescriptor.xml", "<?xml version='1.0' encoding='UTF-8'?><Parallels_disk_image/>");
    let ran = env(&desk, &format!("info {folder}/ploop/root.hds --force-share --output=json"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let info: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((info["format"].as_str(), info["virtual-size"].as_u64()), (Some("parallels"), Some(4 << 20)));
    for line in ["-O raw -f parallels", "-O raw"] {
        desk.ok(&format!("convert -t none {line} {folder}/ploop/root.hds out.raw"));
        assert!(desk.read("out.raw") == desk.read("_base/base.raw"));
    }
}

#[test]
fn encrypted_images_are_made_and_read() {
    let desk = desk();
    let settings = "-o encrypt.cipher-alg=aes-256 -o encrypt.cipher-mode=xts -o encrypt.hash-alg=sha256 \
                    -o encrypt.iter-time=10 -o encrypt.ivgen-alg=plain64 -o encrypt.ivgen-hash-alg=sha256";
    desk.ok(&format!(
        "convert -t writeback -O qcow2 -f raw --object secret,id=sec1,file=secret -o encrypt.key-secret=sec1 \
         -o encrypt.format=luks {settings} _base/base.raw locked.qcow2"
    ));
    assert_eq!(desk.json("info locked.qcow2 --force-share --output=json")["encrypted"], true);
    let folder = desk.folder();
    desk.ok(&format!(
        "convert -t writeback -O raw --object secret,id=sec0,file=secret --image-opts \
         driver=qcow2,file.driver=file,file.filename={folder}/locked.qcow2,encrypt.key-secret=sec0 out.raw"
    ));
    assert!(desk.read("out.raw") == desk.read("_base/base.raw"));
    desk.ok(&format!(
        "convert -t writeback -O qcow2 --object secret,id=sec0,file=secret --object secret,id=sec1,file=secret2 --image-opts \
         driver=qcow2,file.driver=file,file.filename={folder}/locked.qcow2,encrypt.key-secret=sec0 \
         -o encrypt.key-secret=sec1 -o encrypt.format=luks {settings} again.qcow2"
    ));
    let wrong = "convert -O raw --object secret,id=sec0,file=secret --image-opts \
                 driver=qcow2,file.driver=file,file.filename=again.qcow2,encrypt.key-secret=sec0 out2.raw";
    desk.fails(wrong);
}

#[test]
fn raw_disks_are_encrypted_and_read() {
    let desk = desk();
    let settings = "-o cipher-alg=aes-256 -o cipher-mode=xts -o hash-alg=sha256 -o iter-time=10 -o ivgen-alg=plain64 \
                    -o ivgen-hash-alg=sha256";
    desk.ok(&format!(
        "convert -t writeback -O luks -f raw --object secret,id=sec1,file=secret -o key-secret=sec1 {settings} \
         _base/base.raw locked"
    ));
    assert_eq!(desk.json("info locked --force-share --output=json")["format"], "luks");
    let folder = desk.folder();
    desk.ok(&format!(
        "convert -t writeback -O raw --object secret,id=sec0,file=secret --image-opts \
         driver=luks,file.driver=file,file.filename={folder}/locked,key-secret=sec0 out.raw"
    ));
    assert!(desk.read("out.raw") == desk.read("_base/base.raw"));
}

#[test]
fn overlays_build_on_bases_in_other_folders() {
    let desk = desk();
    let folder = desk.folder();
    let base = format!("{folder}/_base/base");
    let ran = env(&desk, &format!("create -f qcow2 -o backing_file={base},backing_fmt=qcow2 {folder}/instance/disk"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let info = desk.json("info instance/disk --force-share --output=json");
    assert_eq!(
        (info["backing-filename"].as_str(), info["virtual-size"].as_u64()),
        (Some(base.as_str()), Some(4 << 20))
    );
    for (size, bytes) in [("8M", 8 << 20), ("1G", 1 << 30), ("5242880", 5 << 20)] {
        desk.ok(&format!(
            "create -f qcow2 -o backing_file={base},backing_fmt=qcow2,cluster_size=2M instance/disk {size}"
        ));
        let info = desk.json("info instance/disk --output=json");
        assert_eq!((info["virtual-size"].as_u64(), info["cluster-size"].as_u64()), (Some(bytes), Some(2 << 20)));
    }
    desk.ok("convert -t none -O raw -f qcow2 instance/disk out.raw");
    assert!(desk.read("out.raw")[..4 << 20] == desk.read("_base/base.raw"));
    desk.ok(&format!(
        "create -f qcow2 -o backing_file={base},backing_fmt=qcow2 --object secret,id=sec,file=secret \
         -o encrypt.key-secret=sec -o encrypt.format=luks -o encrypt.iter-time=10 instance/locked"
    ));
    assert_eq!(desk.json("info instance/locked --output=json")["encrypted"], true);
}

#[test]
fn images_are_resized() {
    let desk = desk();
    desk.ok("resize -f qcow2 _base/base 8388608");
    assert_eq!(desk.json("info _base/base --output=json")["virtual-size"], 8 << 20);
    desk.ok("resize -f raw _base/base.raw 6291456");
    assert_eq!(desk.read("_base/base.raw").len(), 6 << 20);
}

#[test]
fn overlays_are_rebased() {
    let desk = desk();
    let folder = desk.folder();
    desk.ok(&format!("create -f qcow2 -o backing_file={folder}/_base/base,backing_fmt=qcow2 instance/disk"));
    desk.ok("convert -O qcow2 -f qcow2 _base/base _base/copy");
    let line = format!("rebase -b {folder}/_base/copy -F qcow2");
    desk.guessed_then_named(
        &format!("{line} instance/disk"),
        "instance/disk",
        &format!("{line} -f qcow2 instance/disk"),
    );
    let info = desk.json("info instance/disk --output=json");
    assert_eq!(info["backing-filename"], format!("{folder}/_base/copy"));
    desk.guessed_then_named("rebase -b \"\" instance/disk", "instance/disk", "rebase -f qcow2 -b \"\" instance/disk");
    assert!(desk.json("info instance/disk --output=json").get("backing-filename").is_none());
    desk.ok("convert -O raw -f qcow2 instance/disk out.raw");
    assert!(desk.read("out.raw") == desk.read("_base/base.raw"));
}
