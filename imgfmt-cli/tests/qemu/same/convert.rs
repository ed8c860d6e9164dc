//! `convert` and `dd`.

use crate::both::Both;

fn both() -> Option<Both> {
    let both = Both::new()?;
    both.disk("raw", 4 << 20, &[0, 1 << 20]);
    both.make("convert -O qcow2 raw base", "base");
    both.make("create -f qcow2 -b base -F qcow2 top", "top");
    both.write("top", "qcow2", "write -P 3 2M 64k");
    Some(both)
}

#[test]
fn conversions_hold_the_same() {
    let Some(both) = both() else { return };
    for (format, line) in [
        ("raw", "base out"),
        ("raw", "-f qcow2 -O raw top out"),
        ("raw", "raw base out"),
        ("raw", "-S 0 -t directsync -W base out"),
        ("raw", "-m 2 -r 100M -T none base out"),
        ("qcow2", "-O qcow2 -c raw out"),
        ("qcow2", "-O qcow2 -o cluster_size=4k,compat=0.10 top out"),
        ("qcow2", "-O qcow2 -B base -F qcow2 top out"),
        ("qcow2", "-O qcow2 -o backing_file=base,backing_fmt=qcow2 top out"),
        ("vmdk", "-O vmdk -o subformat=streamOptimized raw out"),
        ("vmdk", "-O vmdk top out"),
        ("vhdx", "-O vhdx top out"),
        ("parallels", "-O parallels top out"),
        ("parallels", "-O parallels -o cluster_size=64k -S 0 raw out"),
        ("vdi", "-O vdi top out"),
        ("vdi", "-O vdi -o static=on raw out"),
        ("vdi", "-O vdi -S 0 raw out"),
        ("raw", "--image-opts driver=qcow2,file.filename=top out"),
        ("raw", "--image-opts file.driver=file,file.filename=top -O raw out"),
        ("raw", "-n raw out"),
        ("raw", "-n --target-image-opts raw driver=raw,file.filename=out"),
    ] {
        if line.starts_with("-n") {
            both.disk("out", 4 << 20, &[3 << 20]);
        }
        assert_eq!(both.same(&format!("convert {line}")).code, Some(0), "{line}");
        both.same_content("out", format);
    }
    both.same("convert -O qcow2 raw into");
    assert_eq!(both.same("convert -n -O qcow2 top into").code, Some(0));
    both.same_content("into", "qcow2");
    for options in ["static=off", "static=on"] {
        both.same(&format!("convert -O vdi -o {options} raw into"));
        assert_eq!(both.same("convert -n -O vdi top into").code, Some(0));
        both.same_content("into", "vdi");
        both.sound("into");
    }
}

#[test]
fn snapshots_are_converted() {
    let Some(both) = both() else { return };
    both.make("snapshot -c one base", "base");
    both.write("base", "qcow2", "write -P 9 0 64k");
    for name in ["one", "snapshot.name=one", "snapshot.id=1"] {
        assert_eq!(both.same(&format!("convert -l {name} base out")).code, Some(0));
        both.same_content("out", "raw");
    }
    for line in
        ["-l two base", "-l snapshot.name=1 base", "-l snapshot.id=one base", "-l snapshot.id=1,snapshot.name=x base"]
    {
        let told = both.same(&format!("convert {line} out")).stderr;
        assert!(told.starts_with("qemu-img: Failed to load snapshot: Can't find snapshot"), "{line}: {told}");
    }
    both.same_fault("convert -l snapshot.foo=1 base out");
    both.make("convert -O vmdk base other", "other");
    for line in ["convert -l one -f vmdk other out", "measure -O qcow2 -l one -f vmdk other"] {
        assert_eq!(both.same(line).code, Some(1), "{line}");
    }
}

#[test]
fn parts_of_files_are_images() {
    let Some(both) = both() else { return };
    both.make("convert -O qcow2 top within", "within");
    // An image that starts at the second sector of a file.
    for desk in both.desks() {
        let mut bytes = vec![0x55; 512];
        bytes.extend(desk.read("within"));
        desk.write("around", bytes);
    }
    let json =
        "json:{'driver':'qcow2','file':{'driver':'raw','offset':512,'file':{'driver':'file','filename':'around'}}}";
    for line in [
        json,
        "json:{'driver':'raw','file':{'driver':'qcow2','file':{'driver':'file','filename':\"within\"}}}",
        "--image-opts driver=qcow2,file.driver=raw,file.offset=512,file.file.driver=file,file.file.filename=around",
        "--image-opts driver=qcow2,file.driver=raw,file.file.filename=within",
        "--image-opts driver=raw,offset=64k,size=1M,file.driver=raw,file.offset=1M,file.size=2M,file.file.filename=raw",
        "json:{'driver':'file','filename':'raw'}",
    ] {
        assert_eq!(both.same(&format!("convert {line} out")).code, Some(0), "{line}");
        both.same_content("out", "raw");
    }
    for line in ["info --output=json", "map --output=json", "measure -O qcow2", "check"] {
        let (theirs, ours) = both.infos(&format!("{line} {json}"));
        for key in ["format", "virtual-size", "required"] {
            assert_eq!(theirs[key], ours[key], "{line}");
        }
    }
    for line in [
        "json:{'filename':'raw'}",
        "json:{'driver':'qcow2','file':'raw'}",
        "--image-opts filename=raw",
        "--image-opts driver=raw,size=100,file.filename=raw",
    ] {
        both.same_fault(&format!("convert {line} out"));
    }
    let told = both
        .ours
        .fails("resize --image-opts driver=qcow2,file.driver=raw,file.offset=512,file.file.filename=around 9M");
    assert!(told.contains("part of a file"), "{told}");
}

#[test]
fn a_target_that_is_given_as_options_says_its_format() {
    let Some(both) = both() else { return };
    both.make("create -f qcow2 there 4M", "there");
    let line = "convert -n --target-image-opts raw driver=qcow2,file.filename=there";
    assert_eq!(both.same(line).code, Some(0));
    both.same_content("there", "qcow2");
    both.sound("there");
    // Nothing is written to another place than the one that was meant.
    let before = both.ours.read("there");
    for options in [
        "driver=raw,offset=1M,file.filename=there",
        "driver=raw,file.driver=raw,file.offset=1M,file.file.filename=there",
    ] {
        both.ours.fails(&format!("convert -n --target-image-opts base {options}"));
        assert!(before == both.ours.read("there"), "{options}");
    }
}

#[test]
fn a_source_is_no_target() {
    let Some(both) = both() else { return };
    for line in ["raw raw", "raw ./raw", "-O qcow2 -f qcow2 top top", "-O qcow2 -f qcow2 top base"] {
        assert_eq!(both.same(&format!("convert {line}")).code, Some(1), "{line}");
    }
    both.same_content("top", "qcow2");
    both.same_content("raw", "raw");
}

#[test]
fn conversions_that_cannot_be() {
    let Some(both) = both() else { return };
    for line in [
        "",
        "raw",
        "-O foo raw out",
        "-f foo raw out",
        "nowhere out",
        "raw nowhere/out",
        "-S 3 raw out",
        "-S foo raw out",
        "-S 32M raw out",
        "-m 0 raw out",
        "-m 17 raw out",
        "-t foo raw out",
        "-T foo raw out",
        "-c raw out",
        "-B base -O qcow2 raw out",
        "-B raw -F raw -O raw raw out",
        "-B raw -F raw -O qcow2 raw raw out",
        "-O raw -o foo=1 raw out",
        "-O raw -o preallocation=metadata raw out",
        "-O qcow2 -o cluster_size=3k raw out",
        "raw .",
        "--object \"\" raw out",
        "--object secret,id=1s,data=x raw out",
        "--object secret,id=s,data=x --object secret,id=s,data=x raw out",
        "--object secret,id=s,data=x,foo=1 raw out",
        "-F qcow2 -O qcow2 raw out",
        "-n raw nowhere",
        "-n -O qcow2 -o compat=1.1 raw base",
        "--target-is-zero raw out",
        "-r foo raw out",
        "-C -S 4k raw out",
        "-C -c -O qcow2 raw out",
        "-c -O vdi raw out",
        "-c -O parallels raw out",
        "-B base -F qcow2 -O parallels top out",
        "--salvage -C raw out",
        "--bitmaps base -O raw out",
        "-l one base base out",
        "-O qcow2 -o encrypt.key-secret=s --object secret,id=s,data=x raw out",
        "--skip-broken-bitmaps raw out",
        "--target-image-opts raw driver=raw,file.filename=out",
        "-f qcow2 raw out",
        "-f vmdk raw out",
        "-f vpc raw out",
        "-f parallels raw out",
        "-f vhd raw out",
        "-O host_device raw device",
        "--object foo -O raw raw out",
        "--object secret,id=s -O raw raw out",
        "--object secret,id=s,file=/nowhere -O raw raw out",
        "--object secret,id=s,data=x,file=/nowhere -O raw raw out",
        "--object secret,id=s,data=#,format=base64 -O raw raw out",
    ] {
        both.same_fault(&format!("convert {line}"));
    }
}

#[test]
fn what_cannot_be_read_is_zero_and_warned_of() {
    let Some(both) = both() else { return };
    both.make("convert -O qcow2 -c raw small", "small");
    // The first compressed cluster, behind five of metadata.
    both.patch("small", 5 << 16, &[0xff; 64]);
    assert_eq!(both.same("convert small out").code, Some(1));
    for (format, line) in [("raw", "--salvage small out"), ("qcow2", "--salvage -O qcow2 small out")] {
        let ran = both.same(&format!("convert {line}"));
        assert_eq!(ran.code, Some(0), "{line}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("qemu-img: warning: error while reading offset 0: "), "{}", ran.stderr);
        both.same_content("out", format);
        let quiet = both.same(&format!("convert -q {line}"));
        assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
    }
}

#[test]
fn of_an_image_that_was_cut_the_same_is_had_and_the_rest_is_told() {
    let Some(both) = both() else { return };
    both.make("convert -O qcow2 raw cut", "cut");
    // At a sector: the other program has the start of one that was cut.
    both.cut("cut", 137 * 512);
    assert!(both.ours.fails("convert cut out").contains("the file ends at byte"));
    let ran = both.ours.run("convert --salvage cut out");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("error while reading offset"), "{}", ran.stderr);
    both.theirs_ok("convert --salvage cut out");
    both.same_content("out", "raw");
}

#[test]
fn parts_are_copied() {
    let Some(both) = both() else { return };
    for (format, line) in [
        ("raw", "if=raw of=out"),
        ("raw", "if=raw of=out bs=1M count=2"),
        ("raw", "of=out bs=1M skip=3 if=raw"),
        ("raw", "if=base of=out bs=64k skip=0x10 count=1"),
        ("qcow2", "-O qcow2 -f qcow2 if=top of=out bs=64k"),
        ("raw", "if=raw of=out bs=1M count=1000"),
        ("vmdk", "-O vmdk if=raw of=out"),
        ("vdi", "-O vdi if=raw of=out bs=64k skip=3"),
        ("raw", "--image-opts if=driver=raw,file.filename=raw of=out"),
        ("raw", "-U if=raw if=base of=out"),
    ] {
        assert_eq!(both.same(&format!("dd {line}")).code, Some(0), "{line}");
        both.same_content("out", format);
    }
    for line in [
        "",
        "if=raw",
        "of=out",
        "if=raw of=out foo=1",
        "if=raw of=out bs=0",
        "if=raw of=out bs=foo",
        "if=raw of=out count=-1",
        "if=nowhere of=out",
        "-f qcow2 if=raw of=out",
        "if=raw of=nowhere/out",
        "if=raw of=out abc",
        "-O foo if=raw of=out",
    ] {
        both.same_fault(&format!("dd {line}"));
    }
}
