//! Images whose bytes are in another file.

use std::os::unix::fs::FileExt;

use crate::both::Both;

#[test]
fn a_part_of_a_new_image_takes_the_place_of_nothing_that_it_is_made_from() {
    let Some(both) = Both::new() else { return };
    both.disk("src", 1 << 20, &[0, 1 << 19]);
    both.disk("t-flat.vmdk", 1 << 20, &[0]);
    both.make("convert -O qcow2 src over", "over");
    both.make("create -f qcow2 -b src -F raw top", "top");
    let desk = &both.ours;
    let before = [desk.read("src"), desk.read("t-flat.vmdk"), desk.read("over")];
    for line in [
        "convert -f raw -O qcow2 -o data_file=src src new",
        "convert -f raw -O qcow2 -o data_file=src,data_file_raw=on src new",
        "convert -f qcow2 -O qcow2 -o data_file=over over new",
        "convert -f qcow2 -O qcow2 -o data_file=src top new",
        "convert -f raw -O vmdk -o subformat=monolithicFlat t-flat.vmdk t.vmdk",
        "create -f qcow2 -b src -F raw -o data_file=src new",
        "dd -f raw -O qcow2 if=src of=src bs=64k count=1",
    ] {
        let told = desk.fails(line);
        assert!(!told.is_empty(), "{line}");
        assert!(before == [desk.read("src"), desk.read("t-flat.vmdk"), desk.read("over")], "{line}");
    }
    assert!(!desk.path("new").exists() && !desk.path("t.vmdk").exists());
}

#[test]
fn a_raw_data_file_is_the_disk_whatever_becomes_of_the_size() {
    let Some(both) = Both::new() else { return };
    both.make_in_both("create -q -f qcow2 -o data_file=data,data_file_raw=on top 1M");
    for desk in both.desks() {
        let file = std::fs::OpenOptions::new().write(true).open(desk.path("data")).unwrap();
        file.write_all_at(&[0x54; 1 << 20], 1 << 20).unwrap();
        file.write_all_at(&[0x2a; 1 << 16], 1 << 19).unwrap();
    }
    for to in ["2M", "5M", "--shrink 1536k", "--shrink 64k", "1M", "--preallocation=metadata 3M"] {
        assert_eq!(both.same(&format!("resize -f qcow2 top {to}")).code, Some(0), "{to}");
        both.same_content("top", "qcow2");
        both.sound("top");
        let same = both.same("compare -f raw -F qcow2 data top");
        assert_eq!((same.code, same.stdout.as_str()), (Some(0), "Images are identical.\n"), "{to}");
        assert!(both.desks()[0].read("data") == both.desks()[1].read("data"), "{to}");
    }
}

#[test]
fn a_data_file_that_is_missing_is_no_backing_file() {
    let Some(both) = Both::new() else { return };
    both.make_in_both("create -q -f qcow2 -o data_file=data top 1M");
    both.desks().iter().for_each(|desk| std::fs::remove_file(desk.path("data")).unwrap());
    both.same_fault("map top");
    both.same_fault("convert -O raw top out");
}
