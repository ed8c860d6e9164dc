//! Images that are called by an address: what the command line says is one, and what an image says is none.

use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::desk::{Desk, Ran};
use crate::servers::{Ceph, Server, are_there};

/// Runs the program under its own name.
fn imgfmt(desk: &Desk, line: &str) -> Ran {
    Ran::from(desk.command(env!("CARGO_BIN_EXE_imgfmt"), line).output().unwrap())
}

#[test]
fn a_name_in_an_image_is_never_an_address() {
    let desk = Desk::new();
    let listener = UnixListener::bind(desk.path("sock")).unwrap();
    listener.set_nonblocking(true).unwrap();
    desk.disk("disk.raw", 1 << 20, &[0]);
    for name in ["nbd+unix:///?socket=sock", "nbd:unix:sock", "rbd:pool/image"] {
        desk.ok(&format!("create -q -u -f qcow2 -F raw -b {name} over.qcow2 1M"));
        for line in [
            "info --backing-chain over.qcow2",
            "convert -O raw over.qcow2 out.raw",
            "map over.qcow2",
            "compare over.qcow2 disk.raw",
            "measure -O qcow2 over.qcow2",
            "commit -f qcow2 over.qcow2",
            "rebase -f qcow2 -b disk.raw -F raw over.qcow2",
        ] {
            let ran = desk.run(line);
            assert!(ran.code != Some(0) && ran.stderr.contains("No such file"), "{name}: {line}: {}", ran.stderr);
        }
        let ran = imgfmt(&desk, "convert -f qcow2 -O raw over.qcow2 out.raw");
        assert!(ran.code != Some(0), "{name}");
        assert!(!desk.path("out.raw").exists());
        // The same name given on the command line is an address; one in an image beside it still is not.
        let _ = desk.run(&format!("compare over.qcow2 {}", name.replace("sock", "other")));
    }
    assert!(listener.accept().is_err(), "somebody has connected");
}

#[test]
fn a_file_may_be_called_like_an_address() {
    let desk = Desk::new();
    desk.disk("nbd:x", 1 << 20, &[0]);
    for name in ["./nbd:x", "file:nbd:x"] {
        assert_eq!(desk.json(&format!("info --output=json {name}"))["virtual-size"], 1 << 20, "{name}");
    }
    assert_eq!(imgfmt(&desk, "info ./nbd:x").code, Some(0));
}

#[test]
fn an_export_is_an_image_under_both_names_of_the_program() {
    if !are_there(&["qemu-nbd"]) {
        return;
    }
    let desk = Desk::new();
    desk.disk("disk.raw", 4 << 20, &[0, 1 << 20]);
    desk.ok("convert -f raw -O qcow2 -c disk.raw disk.qcow2");
    // It serves one client, once: the program connects no second time.
    let lines = ["info", "convert -O vmdk {} out.vmdk", "hash", "check", "map", "compare {} disk.raw"];
    for (index, line) in lines.into_iter().enumerate() {
        let socket = format!("s{index}");
        let _server = Server::start(&desk, "qemu-nbd", &format!("-r -f raw -k HERE/{socket} disk.qcow2"), &socket);
        let address = format!("nbd+unix:///?socket={socket}");
        let line = if line.contains("{}") { line.replace("{}", &address) } else { format!("{line} {address}") };
        let ran = imgfmt(&desk, &line);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}: {}", ran.stdout);
    }
    desk.ok("compare -f vmdk -F raw out.vmdk disk.raw");

    // Of how much an image takes that is no file, nothing is said.
    let _server = Server::start(&desk, "qemu-nbd", "-r -f raw -k HERE/compact disk.qcow2", "compact");
    let ran = imgfmt(&desk, "compact -f qcow2 nbd+unix:///?socket=compact small.qcow2");
    assert!(ran.stdout.starts_with("compacted to ") && ran.code == Some(0), "{ran:?}");

    // What it builds on is a file, by its full name, and to be allowed.
    let base = format!("{}/disk.raw", desk.folder());
    desk.ok(&format!("create -q -f qcow2 -F raw -b {base} full.qcow2"));
    desk.ok("create -q -f qcow2 -F raw -b disk.raw part.qcow2");
    let _full = Server::start(&desk, "qemu-nbd", "-r -f raw -t -k HERE/full full.qcow2", "full");
    let _part = Server::start(&desk, "qemu-nbd", "-r -f raw -t -k HERE/part part.qcow2", "part");
    let ran = imgfmt(&desk, "convert -O raw nbd+unix:///?socket=full out.raw");
    assert!(
        ran.stderr.contains("it may open no other file") && ran.stderr.contains(&format!("--allow {base}")),
        "{}",
        ran.stderr
    );
    assert_eq!(imgfmt(&desk, &format!("convert --allow {base} -O raw nbd+unix:///?socket=full out.raw")).code, Some(0));
    assert!(desk.read("out.raw") == desk.read("disk.raw"));
    let ran = imgfmt(&desk, "convert --allow . -O raw nbd+unix:///?socket=part out.raw");
    assert!(ran.stderr.contains("disk.raw is relative to an image that is not a file"), "{}", ran.stderr);

    // What its base is known by changes when something is written there, and it knows.
    desk.ok("convert -f raw -O vmdk disk.raw base.vmdk");
    let ran = imgfmt(&desk, &format!("create -f vmdk -F vmdk -b {}/base.vmdk top.vmdk", desk.folder()));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let _top = Server::start(&desk, "qemu-nbd", "-f raw -t -k HERE/top top.vmdk", "top");
    desk.ok("commit -q -f vmdk nbd+unix:///?socket=top");
    desk.ok("compare -f vmdk -F raw nbd+unix:///?socket=top disk.raw");

    let _server = Server::start(&desk, "qemu-nbd", "-f raw -k HERE/rw -t disk.raw", "rw");
    desk.disk("other.raw", 4 << 20, &[2 << 20]);
    let ran = imgfmt(&desk, "convert -n --verify -f raw -O raw other.raw nbd+unix:///?socket=rw");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(desk.read("disk.raw") == desk.read("other.raw"));
    for (line, told) in [
        ("resize -f raw nbd+unix:///?socket=rw 8M", "cannot be changed"),
        ("resize -f raw --shrink nbd+unix:///?socket=rw 1M", "keeps its size"),
        ("convert -f raw -O raw nbd+unix:///?socket=rw nbd+unix:///?socket=rw", "would be overwritten"),
        ("convert -n -f raw -O raw nbd+unix:///?socket=rw nbd:unix:./rw", "would be overwritten"),
        ("info nbd+unix:///none?socket=rw", "no such export"),
        ("info nbds://localhost", "nbds connections are not supported"),
        ("info nbd://localhost:x", "the port is no number"),
    ] {
        let ran = imgfmt(&desk, line);
        assert!(ran.code != Some(0) && ran.stderr.contains(told), "{line}: {}", ran.stderr);
    }
    desk.ok("create -q -f qcow2 nbd+unix:///?socket=rw 1M");
    let ran = imgfmt(&desk, "convert -n -f qcow2 -O qcow2 nbd+unix:///?socket=rw nbd:unix:rw");
    assert!(ran.stderr.contains("would be overwritten"), "{}", ran.stderr);
}

/// Has the helper for images of Ceph built beside the program.
fn build_helper() {
    let folder = Path::new(env!("CARGO_BIN_EXE_imgfmt")).parent().unwrap();
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--quiet", "--locked", "--package", "imgfmt-rbd"])
        .env("CARGO_TARGET_DIR", folder.parent().unwrap());
    if folder.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    assert!(command.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
}

/// Runs a line, and stops it as the terminal does, all processes of the group, once the new image is there. Not by the signal of
/// Ctrl-C, which is ignored where the tests run in the background.
fn interrupted(desk: &Desk, line: &str, ceph: &Ceph) {
    let mut child = desk.command(desk.program(), line).process_group(0).spawn().unwrap();
    while !ceph.rbd("ls images").contains("stopped") {
        assert!(child.try_wait().unwrap().is_none(), "{line}: it has ended already");
    }
    let group = format!("-{}", child.id());
    assert!(Command::new("kill").args(["-TERM", "--", &group]).status().unwrap().success());
    assert!(!child.wait().unwrap().success(), "{line}");
}

#[test]
fn an_image_of_a_pool_is_an_image() {
    let Some(ceph) = Ceph::start() else { return };
    build_helper();
    let desk = Desk::new();
    desk.disk("disk.raw", 12 << 20, &[0, 5 << 20, (12 << 20) - 65_536]);
    desk.ok("convert -f raw -O qcow2 disk.raw disk.qcow2");
    let at = |image: &str| format!("rbd:images/{image}:id=admin:conf={}", ceph.conf().display());
    let (raw, qcow2, made) = (at("raw"), at("qcow2"), at("made"));

    desk.ok(&format!("convert -f qcow2 -O raw disk.qcow2 {raw}"));
    desk.ok(&format!("compare {raw} disk.raw"));
    ceph.rbd(
        "export images/raw exported.raw --no-progress"
            .replace("exported.raw", desk.path("exported.raw").to_str().unwrap())
            .as_str(),
    );
    assert!(desk.read("exported.raw") == desk.read("disk.raw"));
    // What Nova asks.
    for line in
        [format!("info {raw} --force-share --output=json"), format!("info {raw} --force-share --output=json -f raw")]
    {
        let info = desk.json(&line);
        assert_eq!((info["format"].as_str(), info["virtual-size"].as_u64()), (Some("raw"), Some(12 << 20)));
        assert_eq!(info["children"][0]["info"]["format"], "rbd");
    }
    let told = desk.fails(&format!("info {} --force-share --output=json", at("none")));
    assert!(told.contains("No such file or directory"), "{told}");
    let told = desk.fails(&format!("info {}", raw.replace("images/", "none/")));
    assert!(told.contains("error opening pool none: No such file or directory"), "{told}");
    // Objects that are not there are holes.
    let map = desk.json(&format!("map --output=json {raw}"));
    let data: Vec<_> =
        map.as_array().unwrap().iter().map(|run| (run["data"].as_bool(), run["start"].as_u64())).collect();
    assert_eq!(data, [(Some(true), Some(0))], "each object of 4 MiB has data");

    // An image that is there is not made anew; one that does not become whole is not left behind.
    let told = desk.fails(&format!("convert -f raw -O raw disk.raw {raw}"));
    assert!(told.contains("error rbd create: File exists"), "{told}");
    let whole = desk.read("disk.qcow2");
    desk.write("cut.qcow2", &whole[..whole.len() / 2]);
    desk.fails(&format!("convert -f qcow2 -O raw cut.qcow2 {}", at("cut")));
    interrupted(&desk, &format!("convert -r 32k -f raw -O raw disk.raw {}", at("stopped")), &ceph);
    assert_eq!(ceph.rbd("ls images").trim(), "raw");

    // Other formats grow as they are written, and are edited where they are.
    desk.ok(&format!("convert -f raw -O qcow2 disk.raw {qcow2}"));
    desk.ok(&format!("resize -f qcow2 {qcow2} +4M"));
    desk.ok(&format!("check -f qcow2 {qcow2}"));
    assert_eq!(desk.json(&format!("info --output=json {qcow2}"))["virtual-size"], 16 << 20);
    desk.ok(&format!("convert -f qcow2 -O raw {qcow2} back.raw"));
    assert!(desk.read("back.raw")[..12 << 20] == desk.read("disk.raw"));

    desk.ok(&format!("create -f raw {made} 8M"));
    desk.ok(&format!("resize -f raw {made} 16M"));
    desk.ok(&format!("resize -f raw --shrink {made} 12M"));
    desk.ok(&format!("convert -n -f raw -O raw disk.raw {made}"));
    desk.ok(&format!("compare {made} disk.raw"));
    // Runs of zeros of any size and place are zero, where there was something else.
    let mut bytes = vec![0xff; 12 << 20];
    desk.write("ones.raw", &bytes);
    for (start, end) in [(4096, 8192), (100_001, 109_999), (1 << 20, 5 << 20), ((12 << 20) - 70_000, 12 << 20)] {
        bytes[start..end].fill(0);
    }
    desk.write("zeros.raw", &bytes);
    for name in ["ones.raw", "zeros.raw", "disk.raw"] {
        desk.ok(&format!("convert -n -f raw -O raw {name} {made}"));
        desk.ok(&format!("compare -f raw -F raw {made} {name}"));
    }
    ceph.rbd("snap create images/made@one");
    desk.ok(&format!("compare -f raw -F raw {} disk.raw", made.replace("made", "made@one")));
    let told = desk.fails(&format!("convert -n -f raw -O raw disk.raw {}", made.replace("made", "made@one")));
    assert!(told.contains("a snapshot can be read only"), "{told}");

    // A key in an address is used, and shown to nobody.
    let key = ceph.key();
    let wrong = format!("{}{}", &key[..8], key[8..].to_uppercase());
    for program in ["info --output=json", "map", "compare disk.raw", "hash", "check"] {
        let line = format!("{program} {raw}:key={key}");
        let ran = if program == "hash" { imgfmt(&desk, &line) } else { desk.run(&line) };
        assert!(ran.code != Some(1) && !ran.stdout.contains(&key) && !ran.stderr.contains(&key), "{line}: {ran:?}");
        let line = format!("{program} {raw}:key={wrong}");
        let ran = if program == "hash" { imgfmt(&desk, &line) } else { desk.run(&line) };
        assert!(ran.code != Some(0) && ran.stderr.contains("key=<hidden>"), "{line}: {ran:?}");
        assert!(!ran.stdout.contains(&wrong) && !ran.stderr.contains(&wrong), "{line}: {ran:?}");
    }

    let ran = imgfmt(&desk, &format!("convert -f raw -O qcow2 {raw} native.qcow2"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    desk.ok("compare -f qcow2 -F raw native.qcow2 disk.raw");
}
