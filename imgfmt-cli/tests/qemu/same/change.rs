//! The commands that change an image.

use crate::both::Both;

fn both() -> Option<Both> {
    let both = Both::new()?;
    both.disk("raw", 4 << 20, &[0, 1 << 20]);
    both.make("convert -O qcow2 raw base", "base");
    both.make("create -f qcow2 -b base -F qcow2 mid", "mid");
    both.write("mid", "qcow2", "write -P 3 2M 64k");
    both.make("create -f qcow2 -b mid -F qcow2 top", "top");
    both.write("top", "qcow2", "write -P 4 3M 64k");
    Some(both)
}

#[test]
fn sizes_change() {
    let Some(both) = both() else { return };
    for (file, format, line) in [
        ("base", "qcow2", "-f qcow2 base 8M"),
        ("base", "qcow2", "-f qcow2 base +1M"),
        ("base", "qcow2", "--shrink -f qcow2 base 4M"),
        ("base", "qcow2", "-q -f qcow2 --preallocation=metadata base 6M"),
        ("base", "qcow2", "-f qcow2 base +0"),
        ("raw", "raw", "-f raw raw 8M"),
        ("raw", "raw", "raw +1 -f raw"),
        ("raw", "raw", "--preallocation=falloc -f raw raw 10M"),
        ("raw", "raw", "-f raw raw -1M --shrink"),
    ] {
        assert_eq!(both.same(&format!("resize {line}")).code, Some(0), "{line}");
        both.same_content(file, format);
        if format == "qcow2" {
            both.sound(file);
        }
    }
    for line in [
        "",
        "raw",
        "-f raw raw -1M",
        "-f qcow2 base 1M",
        "-f qcow2 base foo",
        "-f qcow2 base +1",
        "-f qcow2 base 8388609",
        "-f qcow2 --preallocation=foo base 9M",
        "nowhere 5M",
        "-f raw raw -100M --shrink",
        "-f raw --preallocation=falloc --shrink raw 2M",
    ] {
        both.same_fault(&format!("resize {line}"));
    }
    for desk in [&both.ours, &both.theirs] {
        desk.write("part", [7; 1000]);
    }
    for line in ["part 1001", "part 1000", "part -- -1"] {
        both.same_fault(&format!("resize -f raw {line}"));
    }
    for line in ["part 1025", "part +1", "--shrink part 1000", "--shrink part -- -600"] {
        assert_eq!(both.same(&format!("resize -f raw {line}")).code, Some(0), "{line}");
        assert!(both.ours.read("part") == both.theirs.read("part"), "{line}");
    }
    let told = both.ours.fails("resize -f raw --preallocation=metadata raw 16M");
    assert!(told.contains("Unsupported preallocation mode"), "{told}");
}

#[test]
fn disks_on_others_get_larger() {
    let Some(both) = both() else { return };
    both.disk("odd", (1 << 20) + 512, &[0, 1 << 20]);
    for (options, size) in
        [("", ""), ("-o extended_l2=on", ""), ("-o compat=0.10", ""), ("", "1000960"), ("", "1100288")]
    {
        both.make(&format!("create -f qcow2 {options} -b odd -F raw over {size}"), "over");
        for to in ["3M", "+10M"] {
            assert_eq!(both.same(&format!("resize -f qcow2 over {to}")).code, Some(0), "{options} {size} {to}");
            both.same_content("over", "qcow2");
            both.sound("over");
        }
    }
}

#[test]
fn bitmaps_follow_the_size() {
    let Some(both) = both() else { return };
    for line in ["--add base rec", "--add --disable -g 32k base off"] {
        both.make(&format!("bitmap {line}"), "base");
    }
    both.write("base", "qcow2", "write -P 7 1M 64k");
    both.make("bitmap --merge rec base off", "base");
    for line in [
        "resize -f qcow2 base 800M",
        "resize --shrink -f qcow2 base 3M",
        "amend -f qcow2 -o size=5M base",
        "bitmap --merge off -f qcow2 base rec",
    ] {
        assert_eq!(both.same(line).code, Some(0), "{line}");
        both.sound("base");
        let (theirs, ours) = both.infos("info --output=json base");
        assert_eq!(theirs["format-specific"], ours["format-specific"], "{line}");
        assert_eq!(theirs["virtual-size"], ours["virtual-size"], "{line}");
    }
    both.same_content("base", "qcow2");
    // One that was in use, as a machine that was killed leaves it.
    both.make("bitmap --remove base off", "base");
    let bytes = both.ours.read("base");
    let extension = bytes.windows(4).position(|bytes| bytes == [0x23, 0x85, 0x28, 0x75]).unwrap();
    let directory = u64::from_be_bytes(bytes[extension + 24..extension + 32].try_into().unwrap());
    both.patch("base", usize::try_from(directory).unwrap() + 15, &[3]);
    for line in ["resize -f qcow2 base 6M", "resize --shrink -f qcow2 base 1M", "amend -f qcow2 -o size=6M base"] {
        assert_eq!(both.same(line).code, Some(1), "{line}");
        let told = both.ours.fails(line);
        assert!(told.contains("rec"), "{line}: {told}");
    }
}

#[test]
fn disks_with_snapshots_get_other_sizes() {
    let Some(both) = both() else { return };
    both.make("snapshot -c one base", "base");
    both.make("create -f qcow2 -o compat=0.10 old 4M", "old");
    both.make("snapshot -c one old", "old");
    for (line, code) in [
        ("resize -f qcow2 --shrink base 1M", 0),
        ("resize -f qcow2 base 6M", 0),
        ("snapshot -a one base", 0),
        ("resize -f qcow2 old 6M", 1),
        ("resize -f qcow2 --shrink old 2M", 1),
    ] {
        let line = line.replace("snapshot", "snapshot -f qcow2");
        assert_eq!(both.same(&line).code, Some(code), "{line}");
        for file in ["base", "old"] {
            both.same_content(file, "qcow2");
            both.sound(file);
        }
    }
}

#[test]
fn a_snapshot_is_deleted_by_its_name() {
    let Some(both) = Both::new() else { return };
    both.make("create -q -f qcow2 x.qcow2 4M", "x.qcow2");
    for name in ["alpha", "1", "3", "2"] {
        both.make(&format!("snapshot -q -c {name} x.qcow2"), "x.qcow2");
    }
    for name in ["1", "2", "1", "4"] {
        both.theirs_run(&format!("snapshot -d {name} x.qcow2"));
        let _ = both.ours.run(&format!("snapshot -f qcow2 -d {name} x.qcow2"));
        both.same("snapshot -l x.qcow2");
    }
}

#[test]
fn a_snapshot_is_applied_where_bitmaps_are() {
    let Some(both) = both() else { return };
    both.make("snapshot -c one base", "base");
    both.make("bitmap --add base rec", "base");
    both.write("base", "qcow2", "write -P 7 3M 64k");
    // QEMU refuses that; here the bitmap records it.
    both.ours.ok("snapshot -f qcow2 -a one base");
    both.sound("base");
    let info = both.ours.json("info --output=json base");
    let flags = &info["format-specific"]["data"]["bitmaps"][0]["flags"];
    assert_eq!(flags, &serde_json::json!(["auto"]), "{info}");
}

#[test]
fn images_build_on_others() {
    let Some(both) = both() else { return };
    both.make("convert -O qcow2 mid flat", "flat");
    for line in [
        "-f qcow2 -b base -F qcow2 top",
        "-f qcow2 -b flat -F qcow2 top",
        "-f qcow2 -u -b base -F qcow2 mid",
        "-f qcow2 -b \"\" top",
        "-f qcow2 -b \"\" -F qcow2 mid",
    ] {
        assert_eq!(both.same(&format!("rebase {line}")).code, Some(0), "{line}");
        for file in ["mid", "top"] {
            both.same_content(file, "qcow2");
            both.sound(file);
        }
        let (theirs, ours) = both.infos("info --output=json top");
        assert_eq!(theirs["backing-filename"], ours["backing-filename"], "{line}");
    }
    for line in ["", "-f qcow2 top", "-u -f qcow2 -b base -F foo top", "-f qcow2 -b base top"] {
        both.same_fault(&format!("rebase {line}"));
    }
    assert_eq!(both.same("rebase -f qcow2 -b nowhere -F qcow2 top").code, Some(1));
    assert_eq!(both.same("rebase -f raw -b base -F qcow2 raw").code, Some(1));
}

#[test]
fn what_is_written_into_an_image_is_compressed() {
    let Some(both) = both() else { return };
    both.make("create -f qcow2 empty 4M", "empty");
    both.make("create -f qcow2 -o compression_type=zstd,cluster_size=4k other 4M", "other");
    for (line, file) in [
        ("rebase -c -f qcow2 -b empty -F qcow2 mid", "mid"),
        ("convert -n -c -O qcow2 raw empty", "empty"),
        ("convert -n -c -O qcow2 raw other", "other"),
    ] {
        assert_eq!(both.same(line).code, Some(0), "{line}");
        both.same_content(file, "qcow2");
        both.sound(file);
        let check = both.ours.json(&format!("check --output=json {file}"));
        assert!(check["compressed-clusters"].as_u64() > Some(0), "{line}: {check}");
    }
    // QEMU compresses only what was not there before.
    both.ours.ok("convert -n -c -O qcow2 raw other");
    both.sound("other");
    both.same_content("other", "qcow2");
    for line in ["rebase -c -f raw -b base -F qcow2 raw", "convert -n -c -O raw raw base"] {
        assert_eq!(both.same(line).code, Some(1), "{line}");
    }
}

#[test]
fn images_are_committed() {
    for line in ["-f qcow2 top", "-d -f qcow2 top", "-b base -f qcow2 top", "-q -r 100M -f qcow2 top"] {
        let Some(both) = both() else { return };
        assert_eq!(both.same(&format!("commit {line}")).code, Some(0), "{line}");
        for file in ["base", "mid", "top"] {
            both.same_content(file, "qcow2");
            both.sound(file);
        }
    }
    let Some(both) = both() else { return };
    for line in ["", "-f qcow2 base", "-f raw raw", "nowhere", "-r foo -f qcow2 top"] {
        both.same_fault(&format!("commit {line}"));
    }
    assert_eq!(both.same("commit -f qcow2 -b nowhere top").code, Some(1));
}

#[test]
fn snapshots_are_kept_and_taken_back() {
    let Some(both) = both() else { return };
    both.same("snapshot base");
    for (command, line) in [
        ("snapshot", "-f qcow2 -c one base"),
        ("snapshot", "-q -f qcow2 -c two base"),
        ("resize", "-q -f qcow2 base 4M"),
        ("snapshot", "-f qcow2 -a one base"),
        ("snapshot", "-f qcow2 -d one base"),
    ] {
        assert_eq!(both.same(&format!("{command} {line}")).code, Some(0), "{line}");
        both.same_content("base", "qcow2");
        both.sound("base");
        let (theirs, ours) = both.infos("info --output=json base");
        let names = |value: &serde_json::Value| -> Vec<_> {
            value["snapshots"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|snapshot| (snapshot["id"].clone(), snapshot["name"].clone()))
                .collect()
        };
        assert_eq!(names(&theirs), names(&ours), "{line}");
    }
    for line in ["", "-l -c x base", "-U -f qcow2 -c x base"] {
        both.same_fault(&format!("snapshot {line}"));
    }
    for line in ["-f qcow2 -a one base", "-f raw -c x raw"] {
        assert_eq!(both.same(&format!("snapshot {line}")).code, Some(1), "{line}");
    }
    both.same("snapshot -l raw");
}

#[test]
fn tables_of_snapshots_read_alike() {
    let Some(both) = both() else { return };
    both.make("snapshot -c one base", "base");
    both.make("snapshot -c a_name_that_is_longer_than_its_column base", "base");
    for line in ["base", "-l base", "-l -U base"] {
        both.same(&format!("snapshot {line}"));
    }
}

#[test]
fn options_are_amended() {
    let Some(both) = both() else { return };
    for line in
        ["-f qcow2 -o compat=0.10 base", "-f qcow2 -o compat=1.1,lazy_refcounts=on base", "-f qcow2 -o size=6M base"]
    {
        assert_eq!(both.same(&format!("amend {line}")).code, Some(0), "{line}");
        both.same_content("base", "qcow2");
        both.sound("base");
        let (theirs, ours) = both.infos("info --output=json base");
        assert_eq!(theirs["format-specific"], ours["format-specific"], "{line}");
        assert_eq!(theirs["virtual-size"], ours["virtual-size"], "{line}");
    }
    for line in [
        "",
        "base",
        "-f qcow2 -o foo=1 base",
        "-f qcow2 -o backing_file=x base",
        "-f qcow2 -o cluster_size=1M base",
        "-f qcow2 -o \"\" base",
        "-f qcow2 -o , base",
        "-f qcow2 -o size=foo base",
        "-f qcow2 -o lazy_refcounts=maybe base",
        "-f qcow2 -o compat=0.42 base",
        "-f raw -o size=1M raw",
        "-f vmdk -o help",
        "-f foo -o help",
        "-o refcount_bits=8 nowhere",
    ] {
        both.same_fault(&format!("amend {line}"));
    }
    assert_eq!(both.same("amend -f qcow2 -o compat=foo base").code, Some(1));
}

#[test]
fn versions_change_with_snapshots() {
    let Some(both) = both() else { return };
    both.write("base", "qcow2", "write -z 64k 128k");
    both.make("snapshot -c one base", "base");
    both.write("base", "qcow2", "write -z 2M 64k");
    both.make("snapshot -c two base", "base");
    for (line, code) in [
        ("-o compat=0.10 base", 0),
        ("-o size=5M base", 1),
        ("-o compat=1.1 base", 0),
        ("-o size=5M base", 0),
        ("-o compat=0.10 base", 1),
        ("-o compat=0.10,size=4M base", 0),
        ("-o compat=1.1,size=6M base", 0),
    ] {
        assert_eq!(both.same(&format!("amend -f qcow2 {line}")).code, Some(code), "{line}");
        both.sound("base");
        both.same_content("base", "qcow2");
        let (theirs, ours) = both.infos("info --output=json base");
        assert_eq!(theirs["format-specific"], ours["format-specific"], "{line}");
        assert_eq!(theirs["virtual-size"], ours["virtual-size"], "{line}");
        // QEMU shows a snapshot at the size of the disk.
        for snapshot in ["one", "two"].into_iter().filter(|_| ours["virtual-size"] == 4 << 20) {
            both.same(&format!("convert -l {snapshot} -O qcow2 base {snapshot}"));
            both.same_content(snapshot, "qcow2");
        }
    }
}

#[test]
fn key_slots_are_amended() {
    let Some(both) = both() else { return };
    let secrets = "--object secret,id=a,data=one --object secret,id=b,data=two --object secret,id=c,data=three";
    let options = "encrypt.format=luks,encrypt.key-secret=a,encrypt.iter-time=10";
    both.make(&format!("create -f qcow2 {secrets} -o {options} img 1M"), "img");
    let active = "encrypt.state=active,encrypt.iter-time=10,encrypt.new-secret";
    let inactive = "encrypt.state=inactive,encrypt";
    for (key, line, code) in [
        ("a", format!("-o {active}=b"), 0),
        ("b", format!("-o {active}=c,encrypt.keyslot=5"), 0),
        ("b", format!("-o {active}=a,encrypt.keyslot=5"), 1),
        ("b", format!("--force -o {active}=a,encrypt.keyslot=5"), 0),
        ("b", format!("-o {active}=a,encrypt.keyslot=8"), 1),
        ("c", format!("-o {active}=a"), 1),
        ("b", format!("-o {active}=a,encrypt.old-secret=b"), 1),
        ("b", "-o encrypt.new-secret=a".to_owned(), 1),
        ("b", "-o encrypt.state=active".to_owned(), 1),
        ("b", "-o encrypt.state=inactive".to_owned(), 1),
        ("b", format!("-o {inactive}.old-secret=c"), 1),
        ("b", format!("-o {inactive}.old-secret=a"), 0),
        ("a", format!("-o {active}=c"), 1),
        ("b", format!("-o {inactive}.keyslot=0"), 1),
        ("b", format!("-o {inactive}.keyslot=1"), 1),
        ("b", format!("--force -o {inactive}.keyslot=1"), 0),
        ("b", format!("-o {active}=a"), 1),
    ] {
        let line =
            format!("amend {secrets} --image-opts driver=qcow2,encrypt.key-secret={key},file.filename=img {line}");
        assert_eq!(both.same(&line).code, Some(code), "{line}");
        let states = |info: &serde_json::Value| {
            let slots = info["format-specific"]["data"]["encrypt"]["slots"].as_array().unwrap().clone();
            slots.iter().map(|slot| slot["active"].clone()).collect::<Vec<_>>()
        };
        let (theirs, ours) = both.infos("info --output=json img");
        assert_eq!(states(&theirs), states(&ours), "{line}");
    }
    assert_eq!(both.same("amend -f qcow2 -o encrypt.state=inactive,encrypt.keyslot=0 base").code, Some(1));
}

#[test]
fn refcounts_get_another_width() {
    let Some(both) = both() else { return };
    both.make("bitmap --add base b", "base");
    let mut lines: Vec<String> =
        [1, 64, 2, 32, 4, 8, 16, 8].iter().map(|bits| format!("-o refcount_bits={bits}")).collect();
    lines.push("-o lazy_refcounts=on -o refcount_bits=16".to_owned());
    lines.push("-q -o refcount_bits=16".to_owned());
    for line in &lines {
        assert_eq!(both.same(&format!("amend -f qcow2 {line} base")).code, Some(0), "{line}");
        both.same_content("base", "qcow2");
        both.sound("base");
        let (theirs, ours) = both.infos("info --output=json base");
        assert_eq!(theirs["format-specific"], ours["format-specific"], "{line}");
    }
    for bits in ["0", "3", "128"] {
        assert_eq!(both.same(&format!("amend -f qcow2 -o refcount_bits={bits} base")).code, Some(1), "{bits}");
    }
    both.make("snapshot -c one base", "base");
    assert_eq!(both.same("amend -f qcow2 -o refcount_bits=1 base").code, Some(1), "clusters are shared");
    assert_eq!(both.same("amend -f qcow2 -o refcount_bits=2 base").code, Some(0));
    both.sound("base");
    both.make("create -f qcow2 -o compat=0.10 old 4M", "old");
    for (line, code) in [
        ("refcount_bits=8", 1),
        ("compat=1.1,refcount_bits=8", 0),
        ("compat=0.10", 1),
        ("compat=0.10,refcount_bits=16", 0),
    ] {
        assert_eq!(both.same(&format!("amend -f qcow2 -o {line} old")).code, Some(code), "{line}");
        both.sound("old");
    }
    let (theirs, ours) = both.infos("info --output=json old");
    assert_eq!(theirs["format-specific"], ours["format-specific"]);
}

#[test]
fn bitmaps_change() {
    let Some(both) = both() else { return };
    both.make("bitmap --add base other", "base");
    both.write("base", "qcow2", "write -P 7 1M 64k");
    for line in [
        "--add -f qcow2 base b",
        "--add -g 0 -f qcow2 base zero",
        "--add -g 32k -f qcow2 base c",
        "--disable -f qcow2 base c",
        "--merge other -f qcow2 base c",
        "--clear --enable -f qcow2 base b",
        "--remove -f qcow2 base b",
    ] {
        assert_eq!(both.same(&format!("bitmap {line}")).code, Some(0), "{line}");
        both.sound("base");
        let (theirs, ours) = both.infos("info --output=json base");
        assert_eq!(theirs["format-specific"]["data"]["bitmaps"], ours["format-specific"]["data"]["bitmaps"], "{line}");
    }
    for line in
        ["", "-f qcow2 base b", "-g 64k --clear -f qcow2 base c", "--add -f qcow2 base", "--add -b x -f qcow2 base q"]
    {
        both.same_fault(&format!("bitmap {line}"));
    }
    for line in
        ["--remove -f qcow2 base nowhere", "--add -f qcow2 base c", "--add -g 3 -f qcow2 base d", "--add -f raw raw x"]
    {
        assert_eq!(both.same(&format!("bitmap {line}")).code, Some(1), "{line}");
    }
}

#[test]
fn benches_run() {
    let Some(both) = both() else { return };
    for line in [
        "-c 10 raw",
        "-c 10 -f qcow2 base",
        "-c 10 -w -f raw raw",
        "-c 10 -d 4 -s 64k -S 128k -o 1M -U raw",
        "-q -c 10 raw",
        "-c 100 -d 8 -w --flush-interval 8 --pattern 3 -f qcow2 top",
        "-c 10 -w --no-drain -f qcow2 top",
        "-c 10 --no-drain raw",
    ] {
        assert_eq!(both.same(&format!("bench {line}")).code, Some(0), "{line}");
    }
    for line in [
        "",
        "-c 0 raw",
        "-d 0 raw",
        "--flush-interval 5 raw",
        "-i foo raw",
        "nowhere",
        "-c foo raw",
        "-w -d 8 --flush-interval 4 -f raw raw",
        "-w -f raw --pattern 300 raw",
        "-w -U -f raw -c 4 raw",
        "-c 4 -n raw",
        "-c 4 -i native -t writeback raw",
    ] {
        both.same_fault(&format!("bench {line}"));
    }
}

#[test]
fn what_was_not_closed_is_mended_before_it_is_changed() {
    for line in [
        "resize -f qcow2 base 8M",
        "amend -f qcow2 -o lazy_refcounts=off base",
        "amend -f qcow2 -o compat=0.10 base",
        "snapshot -c now --image-opts driver=qcow2,file.filename=base",
        "bitmap -f qcow2 --add base rec",
        "rebase -f qcow2 -u -b raw -F raw base",
    ] {
        let Some(both) = both() else { return };
        // The image says that it was not closed, and a cluster of its disk is not counted.
        both.patch("base", 79, &[1]);
        both.patch("base", (2 << 16) + 2 * 5, &[0, 0]);
        assert_eq!(both.same(line).code, Some(0), "{line}");
        both.sound("base");
        both.same_content("base", "qcow2");
        assert_eq!(both.ours.read("base")[79] & 1, 0, "{line}");
    }
}

#[test]
fn a_base_with_bitmaps_is_committed_into() {
    let Some(both) = both() else { return };
    both.make("bitmap --add base rec", "base");
    both.make("bitmap --add mid rec", "mid");
    for line in ["commit -f qcow2 top", "commit -f qcow2 -d mid", "commit -f qcow2 mid"] {
        assert_eq!(both.same(line).code, Some(0), "{line}");
        for file in ["base", "mid", "top"] {
            both.same_content(file, "qcow2");
            both.sound(file);
        }
    }
    assert_eq!(both.same("convert --bitmaps -O qcow2 base copy").code, Some(0));
}
