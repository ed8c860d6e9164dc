//! `compare`.

use crate::both::Both;

#[test]
fn images_are_compared() {
    let Some(both) = Both::new() else { return };
    both.disk("raw", 4 << 20, &[0, 1 << 20]);
    both.disk("longer", 5 << 20, &[0, 1 << 20]);
    both.disk("other", 4 << 20, &[0, 2 << 20]);
    both.disk("more", 5 << 20, &[0, 1 << 20, 4980736]);
    both.make("convert -O qcow2 raw img", "img");
    both.make("create -f qcow2 -b img -F qcow2 top", "top");
    both.make("dd bs=64k skip=16 count=17 if=raw of=part", "part");
    for (line, code) in [
        ("raw img", 0),
        ("-f raw -F qcow2 raw img", 0),
        ("raw top", 0),
        ("raw longer", 0),
        ("longer raw", 0),
        ("-s raw longer", 1),
        ("raw other", 1),
        ("-q raw other", 1),
        ("raw more", 1),
        ("-s raw raw", 0),
        ("-f raw -F raw raw img", 1),
        ("-U raw img", 0),
        ("raw nowhere", 2),
        ("-f qcow2 raw raw", 2),
        ("--image-opts driver=raw,file.filename=raw driver=qcow2,file.filename=img", 0),
        ("json:{'driver':'raw','offset':1048576,'size':65536,'file.filename':'raw'} part", 0),
        ("part json:{'driver':'raw','size':65536,'file':{'driver':'raw','offset':1048576,'file.filename':'raw'}}", 0),
        ("json:{'driver':'raw','size':65536,'file.filename':'raw'} part", 1),
        ("-T foo raw img", 2),
    ] {
        assert_eq!(both.same(&format!("compare {line}")).code, Some(code), "{line}");
    }
}

#[test]
fn the_verdict_ends_the_line_of_the_progress() {
    let Some(both) = Both::new() else { return };
    both.disk("empty", 4 << 20, &[]);
    both.disk("other", 4 << 20, &[]);
    both.disk("longer", 5 << 20, &[]);
    for line in ["empty other", "-q empty other", "-s empty longer", "-s empty empty"] {
        both.same(&format!("compare -p {line}"));
    }
    let ran = both.ours.run("compare -p empty other");
    assert!(ran.stdout.ends_with("(100.00/100%)\rImages are identical.\n\n"), "{:?}", ran.stdout);
}
