//! What is wrong with a command line, in the same words.

use crate::both::Both;

#[test]
fn command_lines_that_make_no_sense() {
    let Some(both) = Both::new() else { return };
    both.disk("raw", 1 << 20, &[0]);
    both.make("create -u -f qcow2 -b nowhere -F raw top 1M", "top");
    for line in [
        "",
        "foo",
        "--foo",
        "info",
        "info raw raw",
        "info nowhere",
        "info -f qcow2 nowhere",
        "info -f qcow2 raw",
        "info -f luks raw",
        "info -f foo raw",
        "info --output=xml raw",
        "info --bogus raw",
        "info -f",
        "info --o raw",
        "info -x raw",
        "info --image-opts foo=bar",
        "info --image-opts -f raw raw",
        "info \"\"",
        "info foo:bar",
        "info ./foo:bar",
        "info /",
        "check",
        "check nowhere",
        "check -r foo raw",
        "check -T foo raw",
        "map",
        "map nowhere",
        "map --start-offset foo raw",
        "map --max-length=-1 raw",
        "compare raw",
        "compare --foo",
        "measure",
        "measure --size 1G raw",
        "measure --size foo",
        "measure -O foo --size 1G",
        "measure -O vmdk --size 1G",
        "measure -O qcow2 -f raw nowhere",
        "snapshot -l nowhere",
        "map top",
        "convert top out",
        "compare raw top",
        "measure -O qcow2 top",
    ] {
        both.same_fault(line);
    }
}

#[test]
fn lists_and_numbers_are_read_alike() {
    let Some(both) = Both::new() else { return };
    both.disk("raw", 1 << 20, &[0]);
    both.make("convert -O qcow2 raw base", "base");
    both.make("create -f qcow2 -b base -F qcow2 top", "top");
    for line in [
        "create -f qcow2 -o size=-1 new",
        "create -f qcow2 -o size=16E new",
        "create -f qcow2 -o encryption=on new 1M",
        "create -f qcow2 -o encrypt.format=luks new 1M",
        "create -f qcow2 -o encrypt.key-secret=x new 1M",
        "create -f qcow2 -o backing_file=base,,help -F qcow2 new 1M",
        "create -f qcow2 -o backing_file=base,,? new 1M",
        "convert -O qcow2 -B base raw raw new",
        "dd if=raw of=new skip=1k",
        "dd if=raw of=new skip=1.0",
        "dd if=raw of=new count=2M",
        "dd if=raw of=new count=1b",
        "measure raw more",
        "measure -o ,",
    ] {
        both.same_fault(line);
    }
    for line in ["dd -f raw if=raw of=new count=0x10", "dd -f raw if=raw of=new skip=0x10 bs=4k"] {
        assert_eq!(both.same(line).code, Some(0), "{line}");
    }
    // QEMU says so, copies nothing, and ends with 0.
    let told = both.ours.fails("convert -n --target-is-zero -O qcow2 -B base -F qcow2 raw top");
    assert!(told.contains("Cannot use --target-is-zero when the destination image has a backing file"), "{told}");
    for line in ["measure -O qcow2 -o backing_file=x raw", "measure -O qcow2 -o backing_file=x --size 1G"] {
        assert_eq!(both.same(line).code, Some(0), "{line}");
    }
}
