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
fn disks_that_end_within_a_sector() {
    let Some(both) = Both::new() else { return };
    both.disk("odd", 66_000, &[0]);
    both.disk("short", 1000, &[0]);
    both.disk("hole", 100, &[]);
    both.disk("nothing", 0, &[]);
    both.make("create -f qcow2 -b odd -F raw top 128k", "top");
    both.make("create -f qcow2 -b short -F raw same", "same");
    for file in ["odd", "short", "hole", "nothing", "top", "same"] {
        both.same(&format!("map --output=json {file}"));
        both.same(&format!("map {file}"));
        both.same(&format!("measure -O raw {file}"));
        both.same(&format!("measure --output=json -O qcow2 {file}"));
    }
    for line in ["-s 1000 short", "-s 1010 short", "-s 900 -l 200 short", "-s 5k short"] {
        both.same(&format!("map --output=json {line}"));
    }
}

#[test]
fn an_image_is_taken_without_what_it_builds_on() {
    let Some(both) = both() else { return };
    let top = "json:{'driver':'qcow2','file':{'driver':'file','filename':'top'},'backing':null}";
    for line in ["info", "map --output=json", "measure -O qcow2", "compare top", "convert -O raw"] {
        let out = if line.starts_with("convert") { "alone" } else { "" };
        both.same(&format!("{line} {top} {out}"));
    }
    both.same_content("alone", "raw");
    assert!(both.ours.read("alone")[..64 << 10].iter().all(|byte| *byte == 0), "what is below is not there");
}

#[test]
fn parts_of_a_file_are_at_their_place_in_it() {
    let Some(both) = both() else { return };
    for part in ["offset=1M,size=64k", "offset=512", "size=1M"] {
        both.same(&format!("map --output=json --image-opts driver=raw,{part},file.filename=raw"));
        both.same(&format!("map --image-opts driver=raw,{part},file.filename=raw"));
    }
}

#[test]
fn holes_are_looked_for_where_clusters_were_set_aside() {
    let Some(both) = Both::new() else { return };
    for line in [
        "-o preallocation=metadata sparse 8M",
        "-o preallocation=falloc full 8M",
        "-o data_file=data,data_file_raw=on outside 8M",
        "-o data_file=data2,data_file_raw=on,preallocation=metadata aside 8M",
        "-o cluster_size=2M large 8M",
    ] {
        both.make_in_both(&format!("create -q -f qcow2 {line}"));
    }
    both.disk("raw", 8 << 20, &[1 << 20, 4 << 20]);
    both.make_in_both("convert -n -f raw -O qcow2 raw sparse");
    both.make_in_both("convert -n -f raw -O qcow2 raw outside");
    for file in ["sparse", "full", "outside", "aside", "large"] {
        both.same(&format!("map --output=json {file}"));
        both.same(&format!("map {file}"));
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
        "-O luks -o key-secret=s --object secret,id=s,data=x --size 1M",
        "-O qcow2 -o encrypt.format=aes --size 1M",
        "-O qcow2 -o encrypt.key-secret=s --size 1M",
        "-O qcow2 -o encryption=on --size 1M",
    ] {
        assert_eq!(both.same(&format!("measure {line}")).code, Some(0), "{line}");
    }
    for line in [
        "-O luks --size 1M",
        "-O luks --object secret,id=s,data=x raw",
        "-O luks -o key-secret=s raw",
        "-O qcow2 -o encrypt.format=luks raw",
        "-O qcow2 -o encrypt.format=luks,encrypt.key-secret=s --size 1M",
        "-O qcow2 --size 7E",
        "-O qcow2 -o cluster_size=3 --size 1M",
        "-O file raw",
        "-O raw -o foo=bar --size 1M",
    ] {
        both.same_fault(&format!("measure {line}"));
    }
}
