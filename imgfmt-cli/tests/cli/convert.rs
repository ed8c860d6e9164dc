//! `imgfmt convert`: what becomes of the bytes, and of the files around them.

use std::os::unix::fs::MetadataExt;

use crate::desk::{Desk, identity};

/// A disk's length that is no multiple of anything.
const ODD_LEN: u64 = (3 << 20) + 4711;

#[test]
fn bytes_and_holes_survive() {
    let desk = Desk::new();
    desk.disk("a", 64 << 20, &[0, 20 << 20]);
    for line in ["convert a b", "convert -O qcow2 a q", "convert -W -C -U -T none -m 3 q b"] {
        assert_eq!(desk.ok(line), "");
    }
    assert!(desk.read("a") == desk.read("b"));
    assert!(desk.path("b").metadata().unwrap().blocks() * 512 < 1 << 20);
    assert_eq!(desk.names(), ["a", "b", "q"]);
}

#[test]
fn a_disk_may_be_of_any_length() {
    let desk = Desk::new();
    desk.disk("a", ODD_LEN, &[0, 3 << 20]);
    desk.ok("convert a b");
    assert!(desk.read("a") == desk.read("b"));
    desk.write("empty", b"");
    desk.ok("convert empty e");
    assert!(desk.read("e").is_empty());
}

#[test]
fn every_cache_mode_is_taken() {
    let desk = Desk::new();
    desk.disk("a", 1 << 20, &[0]);
    for mode in ["unsafe", "writeback", "writethrough", "none", "directsync"] {
        desk.ok(&format!("convert -t {mode} -T {mode} a {mode}"));
        assert!(desk.read("a") == desk.read(mode), "{mode}");
    }
}

#[test]
fn zeros_take_space_where_that_is_asked_for() {
    let desk = Desk::new();
    desk.disk("a", 8 << 20, &[1 << 20]);
    desk.ok("convert -S 0 a b");
    assert!(desk.read("a") == desk.read("b"));
    assert!(desk.path("b").metadata().unwrap().blocks() * 512 >= 8 << 20);
}

#[test]
fn several_sources_are_put_one_behind_the_other() {
    let desk = Desk::new();
    desk.disk("a", ODD_LEN, &[0]);
    desk.disk("b", 2 << 20, &[1 << 20]);
    desk.ok("convert -O qcow2 b q");
    desk.ok("convert a q a whole");
    assert!(desk.read("whole") == [desk.read("a"), desk.read("b"), desk.read("a")].concat());
    let said = desk.fails("convert -O qcow2 -B a a b c");
    assert_eq!(said, "imgfmt: a backing file makes no sense for several sources\n");
}

#[test]
fn a_source_may_be_replaced_but_not_overwritten() {
    let desk = Desk::new();
    desk.disk("a", 1 << 20, &[0]);
    let before = desk.read("a");
    desk.ok("convert a a");
    assert!(desk.read("a") == before);
    std::fs::hard_link(desk.path("a"), desk.path("link")).unwrap();
    for line in ["convert -n a a", "convert -n a link"] {
        let said = desk.fails(line);
        assert!(said.ends_with(" is a source, and would be overwritten while it is read\n"), "{said}");
    }
    assert!(desk.read("a") == before);
}

#[test]
fn what_a_source_builds_on_is_not_replaced() {
    let desk = Desk::new();
    desk.disk("a", 1 << 20, &[0]);
    desk.ok("convert -O qcow2 a base");
    desk.ok("create -f qcow2 -b base -F qcow2 over");
    let before = desk.read("base");
    for line in [
        "convert -f qcow2 -O raw over base",
        "convert -f qcow2 -O qcow2 over base",
        "compact -f qcow2 over base",
        "dd -f qcow2 -O qcow2 if=over of=base bs=64k count=1",
        "dd -f qcow2 -O raw if=base of=base bs=64k count=1",
        "dd -f qcow2 -O raw if=over of=over bs=64k count=1",
    ] {
        let said = desk.fails(line);
        assert!(said.contains(" is a source, and would be overwritten while it is read"), "{line}: {said}");
        assert!(desk.read("base") == before, "{line}");
    }
    desk.ok("compare -f qcow2 -F raw over a");
}

#[test]
fn an_existing_target_is_written_in_place_and_keeps_its_length() {
    let desk = Desk::new();
    desk.disk("a", 1 << 20, &[1 << 19]);
    desk.write("b", &vec![9; 2 << 20]);
    let file = identity(&desk.path("b"));
    desk.ok("convert -n a b");
    assert_eq!(identity(&desk.path("b")), file);
    assert!(desk.read("b") == [desk.read("a"), vec![9; 1 << 20]].concat());
    desk.write("short", &[9; 512]);
    let said = desk.fails("convert -n a short");
    assert_eq!(said, "imgfmt: cannot create short: raw: the image takes 1048576 bytes, and the target has 512\n");
    assert_eq!(desk.read("short"), [9; 512]);
    assert!(
        desk.fails("convert -n -O raw a none").starts_with("imgfmt: cannot write to none: No such file or directory")
    );
    assert!(desk.fails("convert -n -o preallocation=off a b").contains("options are for a new image"));
}

#[test]
fn a_target_that_reads_as_zeros_is_left_alone_where_the_source_is_zero() {
    let desk = Desk::new();
    desk.disk("a", 1 << 20, &[0]);
    desk.write("b", &vec![9; 1 << 20]);
    desk.ok("convert -n --target-is-zero a b");
    // What was said was not true, and so shows what was not written.
    assert_eq!(desk.read("b")[65_536..], vec![9; (1 << 20) - 65_536]);
}

#[test]
fn only_what_differs_from_a_backing_file_is_converted() {
    let desk = Desk::new();
    desk.disk("base", 4 << 20, &[0, 1 << 20]);
    std::fs::create_dir(desk.path("sub")).unwrap();
    desk.ok("convert -O qcow2 -B base -F raw base top");
    desk.ok("convert -O qcow2 -B ../base top sub/copy");
    let info = desk.ok("info --no-count --output json sub/copy");
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["backing-filename"], "../base");
    assert_eq!(info["backing-filename-format"], "raw");
    assert_eq!(info["full-backing-filename"], "sub/../base");
    desk.ok("convert --allow base sub/copy flat");
    assert!(desk.read("flat") == desk.read("base"));
    let said = desk.fails("convert -O qcow2 -B none base out");
    assert!(said.starts_with("imgfmt: cannot open none: No such file or directory"), "{said}");
    let said = desk.fails("convert -O qcow2 -B base -F raw top base");
    assert_eq!(said, "imgfmt: base would become its own backing file\n");
    assert!(desk.fails("convert -B base top out").contains("raw images cannot have a backing file"));
}

#[test]
fn a_file_that_an_image_names_elsewhere_has_to_be_allowed() {
    let desk = Desk::new();
    desk.disk("base", 1 << 20, &[0]);
    std::fs::create_dir(desk.path("sub")).unwrap();
    desk.ok("convert -O qcow2 -B ../base base sub/top");
    let folder = desk.folder();
    let refused = format!(
        "imgfmt: cannot open sub/top: qcow2: the image names ../base, which is outside of what it may open ({folder}/sub)\n\
         imgfmt: hint: allow it with --allow {folder}/base\n"
    );
    assert_eq!(desk.fails("convert sub/top out"), refused);
    assert_eq!(desk.fails("info --backing-chain sub/top"), refused);
    for allowed in ["base", "."] {
        desk.ok(&format!("convert --allow {allowed} sub/top out"));
        assert!(desk.read("out") == desk.read("base"));
    }
    assert!(desk.fails("convert --allow none sub/top out").starts_with("imgfmt: cannot allow none: No such file"));
}

#[test]
fn an_error_leaves_the_old_file_and_no_litter() {
    let desk = Desk::new();
    desk.disk("a", 1 << 20, &[0]);
    desk.write("old", b"old");
    for (line, words) in [
        ("convert none old", "cannot open none: No such file or directory"),
        ("convert -f qcow2 a old", "cannot open a: qcow2: "),
        ("convert -c a old", "cannot create old: raw: raw images cannot be compressed"),
        ("convert -O qcow2 -o cluster_size=3 a old", "cannot create old: qcow2: "),
        ("convert a .", "cannot write to .: "),
        ("convert a none/new", "cannot create none/new: No such file or directory"),
    ] {
        let said = desk.fails(line);
        assert!(said.starts_with(&format!("imgfmt: {words}")), "{said}");
    }
    assert_eq!(desk.read("old"), b"old");
    assert_eq!(desk.names(), ["a", "old"]);
}
