//! `info`.

use crate::both::Both;

/// Makes an image with `line`, and compares what is said of it.
fn check(lines: &[(&str, &str)], infos: &[&str]) {
    let Some(both) = Both::new() else { return };
    both.disk("raw", 4 << 20, &[0, 1 << 20]);
    for (line, file) in lines {
        both.make(line, file);
    }
    for info in infos {
        both.same(&format!("info {info}"));
        both.same(&format!("info --output=json {info}"));
    }
}

#[test]
fn raw_images() {
    check(&[], &["raw", "-f raw raw", "file:raw", "-U raw", "--backing-chain raw"]);
    let Some(both) = Both::new() else { return };
    both.disk("odd", 1000, &[0]);
    both.disk("empty", 0, &[]);
    for name in ["odd", "empty"] {
        both.same(&format!("info {name}"));
        both.same(&format!("info --output=json {name}"));
    }
}

#[test]
fn qcow2_images() {
    for options in [
        "compat=0.10",
        "compat=1.1,lazy_refcounts=on,refcount_bits=64",
        "extended_l2=on,cluster_size=128k",
        "compression_type=zstd",
        "preallocation=metadata",
    ] {
        check(&[(&format!("create -f qcow2 -o {options} img 8M"), "img")], &["img", "-f qcow2 img"]);
    }
    check(
        &[("create -f qcow2 img 8M", "img"), ("bitmap --add img b", "img"), ("bitmap --add -g 32k img c", "img")],
        &["img", "--image-opts driver=qcow2,file.filename=img", "--image-opts file.filename=img"],
    );
    let encrypted = "create -f qcow2 --object secret,id=s,data=a \
                     -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 img 8M";
    check(&[(encrypted, "img")], &["img", "-U -f qcow2 img"]);
}

#[test]
fn sharing_is_said_once() {
    let Some(both) = Both::new() else { return };
    both.make("create -f qcow2 img 8M", "img");
    let img = "--image-opts driver=qcow2,file.filename=img,force-share";
    for line in [
        &format!("info -U {img}=off"),
        &format!("info {img}=perhaps"),
        &format!("check -r all {img}=on"),
        &format!("resize {img}=on 16M"),
    ] {
        both.same_fault(line);
    }
    for line in [&format!("info -U {img}=on"), &format!("info {img}=on"), &format!("map {img}=off")] {
        assert_eq!(both.same(line).code, Some(0), "{line}");
    }
}

#[test]
fn snapshots_in_images() {
    check(
        &[("create -f qcow2 img 8M", "img"), ("snapshot -c one img", "img"), ("snapshot -c two img", "img")],
        &["img"],
    );
}

#[test]
fn chains() {
    let lines = [
        ("convert -O qcow2 raw base", "base"),
        ("create -f qcow2 -b base -F qcow2 mid", "mid"),
        ("create -f qcow2 -b ./mid -F qcow2 top", "top"),
        ("create -f qcow2 -u -b nowhere -F qcow2 orphan 4M", "orphan"),
    ];
    check(&lines, &["mid", "top", "--backing-chain top", "-b raw", "orphan", "--backing-chain orphan"]);
}

#[test]
fn other_formats() {
    for format in ["vmdk", "vpc", "vhdx", "vdi", "parallels", "qcow"] {
        check(&[(&format!("convert -O {format} raw img"), "img")], &["img", &format!("-f {format} img")]);
    }
    let stream = "convert -O vmdk -o subformat=streamOptimized raw img";
    check(&[(stream, "img")], &["img"]);
}

#[test]
fn images_of_several_files() {
    let Some(both) = Both::new() else { return };
    for subformat in ["monolithicFlat", "twoGbMaxExtentSparse"] {
        both.disk("raw", 4 << 20, &[0]);
        both.make(&format!("convert -O vmdk -o subformat={subformat} raw img.vmdk"), "img.vmdk");
        let extent = if subformat == "monolithicFlat" { "img-flat.vmdk" } else { "img-s001.vmdk" };
        both.make("info raw", extent);
        both.same("info img.vmdk");
        both.same("info --output=json img.vmdk");
    }
}
