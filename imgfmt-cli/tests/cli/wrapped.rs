//! Images in archives and compressed files, and what else has to be said to open one.

use std::process::Command;

use crate::desk::Desk;

/// Runs a program of the system on the desk.
fn system(desk: &Desk, line: &str) {
    let words: Vec<_> = line.split_whitespace().collect();
    assert!(Command::new(words[0]).args(&words[1..]).current_dir(desk.folder()).status().unwrap().success(), "{line}");
}

#[test]
fn the_name_of_the_target_says_its_format() {
    let desk = Desk::new();
    desk.disk("a.raw", 3 << 20, &[1 << 20]);
    for (name, format) in [
        ("a.qcow2", "qcow2"),
        ("a.vmdk", "vmdk"),
        ("a.vhdx", "vhdx"),
        ("a.VHD", "vhd"),
        ("a.vdi", "vdi"),
        ("a.img", "raw"),
    ] {
        desk.ok(&format!("convert a.raw {name}"));
        let info = desk.ok(&format!("info --output json {name}"));
        assert!(info.contains(&format!("\"format\": \"{format}\"")), "{name}: {info}");
    }
}

#[test]
fn compressed_files_are_opened_as_what_they_hold() {
    let desk = Desk::new();
    desk.disk("a", 3 << 20, &[1 << 20]);
    desk.ok("convert a a.qcow2");
    for (line, name) in [("gzip -k", "gz"), ("xz -k", "xz"), ("bzip2 -k", "bz2"), ("zstd -q", "zst")] {
        system(&desk, &format!("{line} a.qcow2"));
        let file = format!("a.qcow2.{name}");
        desk.ok(&format!("convert {file} back"));
        assert!(desk.read("back") == desk.read("a"), "{file}");
        assert!(desk.ok(&format!("info {file}")).contains("file format: qcow2"), "{file}");
        // Whoever says raw means the bytes as they are.
        desk.ok(&format!("convert -f raw -O raw {file} bytes"));
        assert!(desk.read("bytes") == desk.read(&file), "{file}");
    }
}

#[test]
fn one_of_several_disks_is_named() {
    let desk = Desk::new();
    desk.disk("a.raw", 1 << 20, &[0]);
    desk.disk("b.raw", 2 << 20, &[1 << 20]);
    system(&desk, "tar cf both.tar a.raw b.raw");
    let said = desk.fails("convert both.tar out.raw");
    assert!(said.contains("it holds 2 disks, and one has to be named: a.raw, b.raw"), "{said}");
    desk.ok("convert --disk 2 both.tar out.raw");
    assert!(desk.read("out.raw") == desk.read("b.raw"));
    desk.ok("convert --disk a.raw both.tar out.raw");
    assert!(desk.read("out.raw") == desk.read("a.raw"));
    assert!(desk.ok("info both.tar").contains("disk 2: b.raw"));
    assert!(desk.fails("convert --disk 3 both.tar out.raw").contains("it holds no disk 3, but a.raw, b.raw"));
}

#[test]
fn a_raw_disk_in_an_archive_is_raw_whatever_its_guest_wrote() {
    let desk = Desk::new();
    desk.disk("disk.raw", 1 << 20, &[0]);
    desk.ok("convert disk.raw other.qcow2");
    let mut bytes = desk.read("disk.raw");
    bytes[..65_536].copy_from_slice(&desk.read("other.qcow2")[..65_536]);
    desk.write("disk.raw", &bytes);
    system(&desk, "tar czf image.tar.gz disk.raw");
    desk.ok("convert image.tar.gz out.raw");
    assert!(desk.read("out.raw") == bytes);
}

#[test]
fn an_appliance_is_written_and_read() {
    let desk = Desk::new();
    desk.disk("a.raw", 5 << 20, &[0, 3 << 20]);
    desk.ok("convert a.raw appliance.ova");
    desk.ok("convert appliance.ova disk.qcow2");
    desk.ok("convert disk.qcow2 back.raw");
    assert!(desk.read("back.raw") == desk.read("a.raw"));
    let info = desk.ok("info appliance.ova");
    assert!(info.contains("subformat: streamOptimized") && info.contains("unpacked from: ova"), "{info}");
}

#[test]
fn an_encrypted_image_needs_its_secret_and_is_described_without() {
    let desk = Desk::new();
    desk.disk("a.raw", 1 << 20, &[0]);
    desk.write("key", b"hunter2");
    let secret = "--object secret,id=s,file=key";
    let options = "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";
    desk.ok(&format!("convert {secret} -o {options} a.raw locked.qcow2"));
    let said = desk.fails("convert locked.qcow2 out.raw");
    assert!(said.contains("encrypted"), "{said}");
    assert!(desk.ok("info --no-count locked.qcow2").contains("encrypted: yes"));
    desk.ok(&format!("convert {secret} --open-options encrypt.key-secret=s locked.qcow2 out.raw"));
    assert!(desk.read("out.raw") == desk.read("a.raw"));
    desk.ok(&format!("compare {secret} --open-options encrypt.key-secret=s locked.qcow2 a.raw"));
    desk.ok(&format!("compare {secret} --second-open-options encrypt.key-secret=s a.raw locked.qcow2"));
    let opts = "driver=qcow2,encrypt.key-secret=s,file.filename=locked.qcow2";
    desk.ok(&format!("convert {secret} --image-opts {opts} out.raw"));
    assert!(desk.read("out.raw") == desk.read("a.raw"));
    assert!(
        desk.fails(&format!("convert --object secret,id=s,data=wrong --image-opts {opts} none")).contains("secret")
    );
}

#[test]
fn a_backing_file_has_options_of_its_own() {
    let desk = Desk::new();
    desk.disk("a.raw", 1 << 20, &[0]);
    desk.write("key", b"hunter2");
    let secret = "--object secret,id=s,file=key";
    desk.ok(&format!(
        "convert {secret} -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 a.raw base.qcow2"
    ));
    let open = "--open-options backing.encrypt.key-secret=s";
    desk.ok(&format!("convert {secret} --open-options encrypt.key-secret=s -B base.qcow2 base.qcow2 top.qcow2"));
    desk.ok(&format!("convert {secret} {open} top.qcow2 out.raw"));
    assert!(desk.read("out.raw") == desk.read("a.raw"));
    assert!(desk.fails(&format!("convert {secret} {open} a.raw none")).contains("backing file that there is not"));
}

#[test]
fn a_window_of_a_raw_file_is_a_disk() {
    let desk = Desk::new();
    desk.disk("a.raw", 4 << 20, &[1 << 20]);
    desk.ok("convert -f raw --open-options offset=1M,size=1M a.raw out.raw");
    assert!(desk.read("out.raw") == desk.read("a.raw")[1 << 20..2 << 20]);
    assert!(desk.ok("convert -f raw --open-options help").contains("offset=SIZE"));
}
