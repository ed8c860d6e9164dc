//! No command that writes acts on an image that was only guessed to be one.

use crate::desk::Desk;

#[test]
fn what_was_only_probed_is_not_written_to() {
    let desk = Desk::new();
    desk.disk("raw", 1 << 20, &[0]);
    desk.ok("convert -f raw -O qcow2 raw base");
    desk.ok("create -f qcow2 -b base -F qcow2 img");
    let before = desk.read("img");
    for line in [
        "resize img 2M",
        "resize --image-opts file.filename=img 2M",
        "rebase -u -b \"\" img",
        "rebase -b base -F qcow2 img",
        "commit img",
        "commit -d img",
        "amend -o compat=0.10 img",
        "snapshot -c one img",
        "snapshot -a one img",
        "snapshot -d one img",
        "bitmap --add img b",
        "check -r all img",
        "check -r leaks img",
        "bench -w -c 1 img",
        "convert -n --target-image-opts raw file.filename=img",
    ] {
        let told = desk.fails(line);
        assert!(told.contains("the format was not specified, and probing guessed qcow2"), "{line}: {told}");
        assert!(told.contains("-f qcow2") && told.contains("driver=qcow2"), "{line}: {told}");
        assert!(before == desk.read("img"), "{line}");
    }
    for line in [
        "info img",
        "check img",
        "map img",
        "compare img base",
        "snapshot -l img",
        "bench -c 1 img",
        "dd if=img of=out",
    ] {
        desk.ok(line);
    }
}

#[test]
fn plain_bytes_are_written_to_with_a_warning() {
    let desk = Desk::new();
    desk.disk("raw", 1 << 20, &[0]);
    let ran = desk.run("resize raw 2M");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "Image resized.\n"));
    assert!(ran.stderr.starts_with("WARNING: Image format was not specified for 'raw' and probing guessed raw."));
    assert_eq!(desk.read("raw").len(), 2 << 20);
}
