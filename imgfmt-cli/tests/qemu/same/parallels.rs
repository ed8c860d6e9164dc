//! Parallels images are written where they are, as `qemu-img` does, and as it cannot.

use crate::both::Both;

/// A raw disk, and one on it.
fn both() -> Option<Both> {
    let both = Both::new()?;
    both.disk("raw", 4 << 20, &[0, 1 << 20]);
    both.make("create -f qcow2 -b raw -F raw top", "top");
    both.write("top", "qcow2", "write -P 4 3M 64k");
    Some(both)
}

#[test]
fn what_is_written_in_place_is_the_same() {
    let Some(both) = both() else { return };
    for options in ["", "-o cluster_size=64k", "-o cluster_size=4k"] {
        both.make(&format!("convert -O parallels {options} raw img"), "img");
        for (line, code) in [
            ("convert -n -O parallels top img", 0),
            ("bench -w -f parallels -c 30 --pattern 9 -s 4k -S 70k img", 0),
            ("convert -n -O parallels raw img", 0),
        ] {
            assert_eq!(both.same(line).code, Some(code), "{line}");
            both.same_content("img", "parallels");
            both.sound("img");
        }
    }
}

#[test]
fn disks_change_their_size_and_take_what_is_above() {
    let Some(both) = both() else { return };
    both.make("convert -O parallels -o cluster_size=64k raw img", "img");
    both.make("create -f qcow2 -b img -F parallels over 4M", "over");
    both.write("over", "qcow2", "write -P 5 2M 64k");
    both.disk("wanted", 4 << 20, &[0, 1 << 20]);
    both.write("wanted", "raw", "write -P 5 2M 64k");
    assert_eq!(both.ours.ok("commit -f qcow2 over"), "Image committed.\n");
    both.sound("img");
    both.ours.ok("compare -f parallels -F raw img wanted");
    // The BAT outgrows what is in front of the first cluster.
    for (line, size) in [("img 2G", 2_u64 << 30), ("img +512", (2 << 30) + 512), ("--shrink img 4M", 4 << 20)] {
        assert_eq!(both.ours.ok(&format!("resize -f parallels {line}")), "Image resized.\n");
        both.sound("img");
        assert_eq!(both.ours.json("info --output=json img")["virtual-size"], size, "{line}");
    }
    let [theirs, ours] = both.desks();
    theirs.write("img", ours.read("img"));
    both.theirs_ok("compare -f parallels -F raw img wanted");
    both.write("img", "parallels", "write -P 6 512k 64k");
    both.same_content("img", "parallels");
    for line in ["resize -f parallels img 8M --preallocation=foo", "resize -f parallels img 1M"] {
        both.ours.fails(line);
    }
}
