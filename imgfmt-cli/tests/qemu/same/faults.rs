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
