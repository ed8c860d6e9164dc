//! Internal snapshots and bitmaps by their names.

use crate::both::Both;

fn both() -> Option<Both> {
    let both = Both::new()?;
    both.disk("raw", 4 << 20, &[0, 1 << 20]);
    both.make("convert -O qcow2 raw base", "base");
    both.make("bitmap --add base b", "base");
    both.make("create -f qcow2 other 4M", "other");
    both.make("create -f vmdk img.vmdk 4M", "img.vmdk");
    Some(both)
}

#[test]
fn several_snapshots_have_one_name() {
    let Some(both) = Both::new() else { return };
    both.disk("raw", 4 << 20, &[0]);
    both.make("convert -O qcow2 raw img", "img");
    assert_eq!(both.same("snapshot -f qcow2 -c one img").code, Some(0));
    // From here on, the two images differ where the clusters of a snapshot are, and in the clock.
    for desk in both.desks() {
        let mut command = std::process::Command::new("qemu-io");
        command.args(["-f", "qcow2", "-c", "write -P 7 0 64k", "img"]).current_dir(desk.path(""));
        assert!(command.output().unwrap().status.success());
    }
    for line in ["-c one", "-c two", "-c one", "-a one", "-d one", "-a one", "-d one", "-d one", "-d one"] {
        both.same(&format!("snapshot -f qcow2 {line} img"));
        both.same_content("img", "qcow2");
        both.sound("img");
        let names = |value: serde_json::Value| {
            let list = value["snapshots"].as_array().cloned().unwrap_or_default();
            list.iter().map(|one| (one["id"].clone(), one["name"].clone())).collect::<Vec<_>>()
        };
        let (theirs, ours) = both.infos("info --output=json img");
        assert_eq!(names(theirs), names(ours), "{line}");
    }
}

#[test]
fn bitmaps_that_are_not_there_or_are_there_already() {
    let Some(both) = both() else { return };
    for line in ["--add -f qcow2 base b", "--add -g 1000 -f qcow2 base c", "--add -g 256 -f qcow2 base c"] {
        both.same_fault(&format!("bitmap {line}"));
    }
    for (line, missing) in [
        ("--merge x -f qcow2 base b", "x"),
        ("--merge b -f qcow2 base x", "x"),
        ("--remove -f qcow2 base x", "x"),
        ("--add --merge x -b base -F qcow2 -f qcow2 other y", "x"),
    ] {
        let ran = both.same(&format!("bitmap {line}"));
        let told = ran.stderr;
        assert_eq!(ran.code, Some(1), "{line}: {told}");
        assert!(told.contains(&format!("Dirty bitmap '{missing}' not found")), "{line}: {told}");
    }
}

#[test]
fn bitmaps_are_copied_from_what_can_have_some() {
    let Some(both) = both() else { return };
    for line in [
        "--bitmaps -O qcow2 raw out",
        "--bitmaps --skip-broken-bitmaps -O qcow2 raw out",
        "--bitmaps -O qcow2 img.vmdk out",
        "--bitmaps -O raw raw out",
        "--bitmaps -O qcow2 base other out",
    ] {
        both.same_fault(&format!("convert {line}"));
    }
    for line in ["--bitmaps -O qcow2 base out", "--bitmaps -O qcow2 other out"] {
        assert_eq!(both.same(&format!("convert {line}")).code, Some(0), "{line}");
    }
}

/// Bits for a large disk are not held to what other tables may have.
#[test]
fn bitmaps_are_as_fine_on_large_disks() {
    let Some(both) = Both::new() else { return };
    assert_eq!(both.same("create -q -f qcow2 wide 300G").code, Some(0));
    for line in
        ["bitmap --add -g 512 -f qcow2 wide b", "resize -q -f qcow2 wide 301G", "bitmap --clear -f qcow2 wide b"]
    {
        assert_eq!(both.same(line).code, Some(0), "{line}");
    }
    both.sound("wide");
    let (theirs, ours) = both.infos("info --output=json wide");
    assert_eq!(theirs["format-specific"], ours["format-specific"]);
}

#[test]
fn another_backing_file_is_read_where_the_options_name_one() {
    let Some(both) = both() else { return };
    both.disk("one", 1 << 20, &[0]);
    both.disk("two", 1 << 20, &[1 << 19]);
    both.make("create -q -f qcow2 -b one -F raw top", "top");
    let desk = &both.ours;
    let top = "driver=qcow2,file.filename=top,backing.driver=raw,backing.file.filename";
    for (file, code) in [("one", 1), ("two", 0)] {
        let line = format!("compare --image-opts {top}={file} driver=raw,file.filename=two");
        assert_eq!(both.same(&line).code, Some(code), "{file}");
    }
    let done = both.same(&format!("convert --image-opts {top}=two -O raw out"));
    assert_eq!(done.code, Some(0));
    assert!(desk.read("out") == desk.read("two"));
    desk.fails(&format!("convert --image-opts {top}=none -O raw out"));
}

#[test]
fn bitmaps_are_copied_where_the_target_is_there() {
    let Some(both) = both() else { return };
    both.make("bitmap --add --disable -g 32k -f qcow2 base still", "base");
    both.write("base", "qcow2", "write -P 7 1M 64k");
    both.make("create -q -f qcow2 there 4M", "there");
    assert_eq!(both.same("convert -n --bitmaps -O qcow2 base there").code, Some(0));
    both.sound("there");
    let (theirs, ours) = both.infos("info --output=json there");
    let bitmaps = |info: &serde_json::Value| info["format-specific"]["data"]["bitmaps"].clone();
    assert!(bitmaps(&ours).is_array());
    assert_eq!(bitmaps(&theirs), bitmaps(&ours));
    // Both refuse what is there already; what we refuse, we have not begun.
    let before = both.ours.read("there");
    both.ours.fails("convert -n --bitmaps -O qcow2 base there");
    assert!(both.ours.read("there") == before);
}
