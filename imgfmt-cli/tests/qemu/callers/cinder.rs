//! Cinder: volumes as files, encrypted ones, and snapshots as chains.

use crate::desk::Desk;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.disk("src.raw", 4 << 20, &[0, 1 << 20]);
    desk.ok("convert -f raw -O qcow2 src.raw src.qcow2");
    desk.write("key", "hunter2");
    desk.write("key2", "hunter3");
    desk
}

#[test]
fn the_version_is_a_number_behind_the_name() {
    let version = desk().ok("--version");
    let number =
        version.strip_prefix("qemu-img version ").unwrap().split(|c: char| !c.is_ascii_digit() && c != '.').next();
    assert_eq!(number, Some("10.0.2"));
    assert!(version.lines().nth(1).unwrap().contains("imgfmt"));
}

#[test]
fn images_are_described_and_raw_ones_are_not_luks() {
    let desk = desk();
    desk.write("empty", "");
    assert_eq!(desk.json("info --output=json empty")["virtual-size"], 0);
    assert_eq!(desk.json("info -f raw --output=json --force-share src.raw")["format"], "raw");
    assert!(desk.fails("info -f luks --output=json --force-share src.raw").contains("LUKS"));
    assert_eq!(desk.json("info -f qcow2 --output=json src.qcow2")["format-specific"]["data"]["compat"], "1.1");
}

#[test]
fn images_are_converted() {
    let desk = desk();
    desk.ok("convert -O raw -t none -f qcow2 src.qcow2 out.raw");
    assert!(desk.read("out.raw") == desk.read("src.raw"));
    desk.ok("convert -O raw -S 0 -f qcow2 src.qcow2 out.raw");
    assert!(desk.read("out.raw") == desk.read("src.raw"));
    desk.ok("convert -O qcow2 -c -f raw src.raw out.qcow2");
    desk.ok("convert -O vmdk -o subformat=streamOptimized -f raw src.raw out.vmdk");
    desk.ok("convert -O vpc -o subformat=fixed -f raw src.raw out.vhd");
    desk.ok("convert -O raw -t none -f vmdk out.vmdk out.raw");
    assert!(desk.read("out.raw") == desk.read("src.raw"));
}

#[test]
fn volumes_become_luks_containers_and_others() {
    let desk = desk();
    desk.ok("convert -O luks -f raw -o cipher-alg=aes-256,cipher-mode=xts,ivgen-alg=plain64 \
         --object secret,id=luks_sec,format=raw,file=key -o key-secret=luks_sec,iter-time=10 src.raw out.luks");
    let info = desk.json("info -f luks --output=json --force-share out.luks");
    assert_eq!((info["virtual-size"].as_u64(), info["encrypted"].as_bool()), (Some(4 << 20), Some(true)));
    assert_eq!(info["format-specific"]["data"]["payload-offset"], 2_068_480);
    let (locked, plain) = (desk.read("out.luks"), desk.read("src.raw"));
    assert!(!locked.windows(512).any(|bytes| bytes == &plain[..512]), "it is not encrypted");
    desk.ok(
        "convert -t none -S 0 --object secret,id=sec1,format=raw,file=key --object secret,id=sec2,format=raw,file=key2 \
         --image-opts key-secret=sec1,file.filename=out.luks -O luks -o key-secret=sec2,iter-time=10 other.luks",
    );
    desk.ok("convert --object secret,id=sec0,file=key2 --image-opts driver=luks,key-secret=sec0,file.filename=other.luks out.raw");
    assert!(desk.read("out.raw") == desk.read("src.raw"));
    let told = desk.fails(
        "convert --object secret,id=sec0,file=key --image-opts driver=luks,key-secret=sec0,file.filename=other.luks o",
    );
    assert!(told.contains("passphrase"), "{told}");
    desk.ok(
        "convert -f raw -O qcow2 --object secret,id=s0,file=key -o encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=10 \
         src.raw src.enc",
    );
    desk.ok(
        "convert --object secret,id=sec1,format=raw,file=key --object secret,id=sec2,format=raw,file=key2 --image-opts \
         encrypt.format=luks,encrypt.key-secret=sec1,file.filename=src.enc -O luks -o key-secret=sec2,iter-time=10 third.luks",
    );
    desk.ok("convert --object secret,id=sec0,file=key2 --image-opts driver=luks,key-secret=sec0,file.filename=third.luks out.raw");
    assert!(desk.read("out.raw") == desk.read("src.raw"));
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    let desk = desk();
    let told = desk.fails("convert -O qcow2 -f raw src.raw /dev/full");
    assert!(told.contains("No space left on device") || told.contains("/dev/full"), "{told}");
}

#[test]
fn volumes_are_made() {
    let desk = desk();
    desk.ok("create -f qcow2 -o preallocation=metadata P 8388608");
    assert_eq!(desk.json("info -f qcow2 --output=json P")["virtual-size"], 8 << 20);
    let settings = "encrypt.cipher-alg=aes-256,encrypt.cipher-mode=xts,encrypt.ivgen-alg=plain64,encrypt.iter-time=10";
    desk.ok(&format!(
        "create -f qcow2 -o encrypt.format=luks,encrypt.key-secret=sec1,{settings} \
         --object secret,id=sec1,format=raw,file=key P 8388608"
    ));
    assert_eq!(desk.json("info -f qcow2 --output=json P")["encrypted"], true);
    desk.ok("create -f qcow2 -o backing_file=src.qcow2,backing_fmt=qcow2 P 1G");
    assert_eq!(desk.json("info -f qcow2 --output=json P")["virtual-size"], 1 << 30);
    desk.ok("create -f luks -o cipher-alg=aes-256,cipher-mode=xts,ivgen-alg=plain64 \
         --object secret,id=luks_sec,format=raw,file=key -o key-secret=luks_sec,iter-time=10 L 8M");
    assert_eq!(desk.json("info -f luks --output=json L")["virtual-size"], 8 << 20);
}

/// An encrypted base, and an encrypted overlay whose base was named as a specification.
fn encrypted(desk: &Desk) -> String {
    let folder = desk.folder();
    desk.ok(
        "convert -f raw -O qcow2 --object secret,id=s0,file=key -o encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=10 \
         src.raw base.qcow2",
    );
    let base = format!(
        r#"json:{{"driver":"qcow2","file":{{"driver":"file","filename":"{folder}/base.qcow2"}},"encrypt.key-secret":"s0"}}"#
    );
    desk.ok(&format!(
        "create -fqcow2 -o encrypt.format=luks,encrypt.key-secret=s1,encrypt.iter-time=10 -F qcow2 -b {base} \
         --object secret,id=s0,file=key --object secret,id=s1,file=key2 top.qcow2"
    ));
    folder
}

#[test]
fn encrypted_overlays_name_a_file_whatever_named_it() {
    let desk = desk();
    let folder = encrypted(&desk);
    let info = desk.json("info -f qcow2 --output=json top.qcow2");
    assert_eq!(info["backing-filename"], format!("{folder}/base.qcow2"));
    assert_eq!((info["encrypted"].as_bool(), info["virtual-size"].as_u64()), (Some(true), Some(4 << 20)));
    let line = |driver: &str| {
        format!(
            "rebase -u --object secret,id=s0,file=key2 -b base.qcow2 -F qcow2 --image-opts \
             {driver}encrypt.key-secret=s0,file.filename={folder}/top.qcow2"
        )
    };
    desk.guessed_then_named(&line(""), "top.qcow2", &line("driver=qcow2,"));
    assert_eq!(desk.json("info -f qcow2 --output=json top.qcow2")["backing-filename"], "base.qcow2");
    let line = |driver: &str| {
        format!(
            "rebase --object secret,id=s0,file=key2 --image-opts {driver}encrypt.key-secret=s0,file.filename=top.qcow2 -u \
             -b {folder}/base.qcow2 -F qcow2"
        )
    };
    desk.guessed_then_named(&line(""), "top.qcow2", &line("driver=qcow2,"));
    desk.ok("convert --object secret,id=s0,file=key --object secret,id=s1,file=key2 -O raw --image-opts \
         driver=qcow2,file.filename=top.qcow2,encrypt.key-secret=s1,backing.encrypt.key-secret=s0 out.raw");
    assert!(desk.read("out.raw") == desk.read("src.raw"));
}

#[test]
fn specifications_without_a_driver_are_probed() {
    let desk = desk();
    encrypted(&desk);
    desk.ok(
        "convert -t none -S 0 --object secret,id=sec1,format=raw,file=key --object secret,id=sec2,format=raw,file=key2 \
         --image-opts encrypt.format=luks,encrypt.key-secret=sec1,file.filename=base.qcow2 -O raw out.raw",
    );
    assert!(desk.read("out.raw") == desk.read("src.raw"));
}

#[test]
fn volumes_are_resized() {
    let desk = desk();
    desk.ok("resize -f qcow2 src.qcow2 1G");
    desk.guessed_then_named("resize src.qcow2 2G", "src.qcow2", "resize -f qcow2 src.qcow2 2G");
    assert_eq!(desk.json("info --output=json src.qcow2")["virtual-size"], 2u64 << 30);
}

#[test]
fn snapshots_are_rebased_and_committed() {
    let desk = desk();
    desk.ok("create -f qcow2 -o backing_file=src.qcow2,backing_fmt=qcow2 one 4M");
    desk.ok("create -f qcow2 -o backing_file=one,backing_fmt=qcow2 two 4M");
    desk.guessed_then_named(
        "rebase -u -b src.qcow2 two -F qcow2",
        "two",
        "rebase -u -b src.qcow2 -f qcow2 two -F qcow2",
    );
    assert_eq!(desk.json("info --output=json two")["backing-filename"], "src.qcow2");
    desk.guessed_then_named("commit -d two", "two", "commit -d -f qcow2 two");
    assert_eq!(desk.json("info --output=json two")["backing-filename"], "src.qcow2");
    desk.guessed_then_named("rebase -b \"\" -F qcow2 two", "two", "rebase -b \"\" -F qcow2 -f qcow2 two");
    assert!(desk.json("info --output=json two").get("backing-filename").is_none());
    desk.ok("convert -f qcow2 -O raw two out.raw");
    assert!(desk.read("out.raw") == desk.read("src.raw"));
}

#[test]
fn encrypted_snapshots_are_committed() {
    let desk = desk();
    let folder = encrypted(&desk);
    let line = |driver: &str| {
        format!(
            "commit --object secret,id=s0,format=raw,file=key --object secret,id=s1,format=raw,file=key2 --image-opts -d \
             {driver}file.filename=top.qcow2,encrypt.format=luks,encrypt.key-secret=s1,\
             backing.file.filename={folder}/base.qcow2,backing.encrypt.key-secret=s0"
        )
    };
    desk.guessed_then_named(&line(""), "top.qcow2", &line("driver=qcow2,"));
}
