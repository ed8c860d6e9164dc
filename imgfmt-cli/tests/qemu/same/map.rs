//! `map` and `measure`.

use crate::both::Both;

fn both() -> Option<Both> {
    let both = Both::new()?;
    both.disk("raw", 4 << 20, &[0, 1 << 20]);
    both.make("convert -O qcow2 raw base", "base");
    both.make("create -f qcow2 -b base -F qcow2 top", "top");
    both.write("top", "qcow2", "write -P 3 2M 64k");
    both.write("top", "qcow2", "write -z 1M 64k");
    Some(both)
}

#[test]
fn where_bytes_are() {
    let Some(both) = both() else { return };
    for line in [
        "raw",
        "--output=json raw",
        "base",
        "--output=json base",
        "top",
        "--output=json top",
        "--output=json -f qcow2 -U top",
        "--output=json -s 1M -l 128k top",
        "--output=json --start-offset 1M --max-length=128k top",
        "--output=json --start-offset 4M raw",
    ] {
        both.same(&format!("map {line}"));
    }
}

#[test]
fn what_lies_in_no_file_as_it_is() {
    let Some(both) = both() else { return };
    both.disk("text", 1 << 20, &[]);
    both.ours.write("text", "text\n".repeat(200_000));
    both.make("convert -c -O qcow2 raw small", "small");
    for line in ["--output=json small", "small"] {
        both.same(&format!("map {line}"));
    }
}

#[test]
fn what_lies_behind_the_end_of_a_backing_file() {
    let Some(both) = both() else { return };
    both.make("create -f qcow2 -b top -F qcow2 longer 6M", "longer");
    both.make("create -f qcow2 -b longer -F qcow2 longest 7M", "longest");
    both.make("create -f qcow2 -b raw -F raw plain 5M", "plain");
    for file in ["longer", "longest", "plain"] {
        both.same(&format!("map --output=json {file}"));
    }
}

#[test]
fn other_formats() {
    let Some(both) = both() else { return };
    both.make("convert -O vmdk raw img", "img");
    both.same("map --output=json img");
    both.same("map img");
    for options in ["cluster_size=1M", "cluster_size=3000"] {
        both.make_in_both(&format!("convert -O parallels -o {options} raw img"));
        both.same("map --output=json -f parallels img");
        both.same("map img");
        // In large clusters, holes are counted here alone: without any, both count the same.
        both.make("convert -S 0 -O parallels -o cluster_size=64k raw img", "img");
        for line in ["-O qcow2", "--output=json -O qcow2", "--output=json -O qcow2 -o compat=0.10", "-O raw"] {
            both.same(&format!("measure {line} -f parallels img"));
        }
    }
}

#[test]
fn what_is_stored_in_holes() {
    let Some(both) = both() else { return };
    for (options, format) in [
        ("-O vmdk -o subformat=monolithicFlat", "vmdk"),
        ("-O vpc -o subformat=fixed,force_size=on", "vpc"),
        ("-O vpc -o force_size=on", "vpc"),
        ("-O qcow2 -o preallocation=metadata", "qcow2"),
        ("-O vdi -o static=on", "vdi"),
    ] {
        let image = format!("img.{format}");
        both.make_in_both(&format!("convert -f raw {options} raw {image}"));
        both.same(&format!("map --output=json -f {format} {image}"));
        both.same(&format!("map -f {format} {image}"));
        // In the blocks of a dynamic VHD, holes are counted here alone.
        if options != "-O vpc -o force_size=on" {
            both.same(&format!("measure -O qcow2 -f {format} {image}"));
        }
    }
}

#[test]
fn zeros_that_keep_their_place() {
    let Some(both) = both() else { return };
    both.make("create -f qcow2 -o preallocation=metadata kept 4M", "kept");
    both.write("kept", "qcow2", "write -P 3 0 4M");
    for line in ["write -z 64k 64k", "write -z 192k 128k", "write -z 2M 64k"] {
        both.write("kept", "qcow2", line);
    }
    both.make("create -f qcow2 -b kept -F qcow2 above 5M", "above");
    both.make("create -f qcow2 -o extended_l2=on parts 1M", "parts");
    for line in ["write -P 1 0 64k", "write -P 2 64k 4k", "write -z 0 4k", "write -z 66k 2k", "write -z 128k 64k"] {
        both.write("parts", "qcow2", line);
    }
    for file in ["kept", "above", "parts"] {
        both.same(&format!("map --output=json {file}"));
        both.same(&format!("map {file}"));
    }
}

#[test]
fn how_large_an_image_would_be() {
    let Some(both) = both() else { return };
    both.make("convert -O qcow2 base bitmaps", "bitmaps");
    both.make("bitmap --add bitmaps b", "bitmaps");
    for line in [
        "--size 1G",
        "-O qcow2 --size 1G",
        "--output=json -O qcow2 --size 1G",
        "--output=json -O qcow2 -o cluster_size=2M --size=1G",
        "--output=json -O qcow2 -o preallocation=full --size=1G",
        "-O raw base",
        "-O qcow2 raw",
        "-O qcow2 -f qcow2 base",
        "--output json -O qcow2 top",
        "-O qcow2 -o encrypt.format=luks,encrypt.key-secret=s --object secret,id=s,data=x --size 1G",
        "-O qcow2 -o encrypt.format=luks,encrypt.key-secret=s,cluster_size=4k --object secret,id=s,data=x base",
        "-O qcow2 -o encrypt.format=aes,encrypt.key-secret=s --object secret,id=s,data=x --size 1M",
        "-O qcow2 bitmaps",
        "-O qcow2 -o compat=0.10 bitmaps",
    ] {
        both.same(&format!("measure {line}"));
    }
}
