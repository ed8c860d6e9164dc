//! Exports of NBD servers.

use crate::both::Both;
use crate::servers::{Server, are_there};

/// Servers in both folders: of an image as it is at `plain`, and of the disk in it at `disk`, called `exp`.
fn serve(both: &Both) -> Vec<Server> {
    let both_of = |desk| {
        let plain = Server::start(desk, "qemu-nbd", "-r -f raw -k HERE/plain -e 4 -t a.qcow2", "plain");
        [plain, Server::start(desk, "qemu-nbd", "-f qcow2 -k HERE/disk -e 4 -t -x exp b.qcow2", "disk")]
    };
    both.desks().into_iter().flat_map(both_of).collect()
}

fn both() -> Option<(Both, Vec<Server>)> {
    if !are_there(&["qemu-nbd"]) {
        return None;
    }
    let both = Both::new()?;
    both.disk("a.raw", 8 << 20, &[0, 1 << 20, (8 << 20) - 65_536]);
    both.make("convert -f raw -O qcow2 a.raw a.qcow2", "a.qcow2");
    both.make("convert -f raw -O qcow2 a.raw b.qcow2", "b.qcow2");
    let servers = serve(&both);
    Some((both, servers))
}

const PLAIN: &str = "nbd+unix:///?socket=plain";
const DISK: &str = "nbd+unix:///exp?socket=disk";

#[test]
fn what_is_served_is_described_the_same() {
    let Some((both, _servers)) = both() else { return };
    for address in [PLAIN, DISK, "nbd:unix:plain", "nbd:unix:disk:exportname=exp"] {
        for line in ["info --output=json", "info", "info -U -f raw --output=json", "map --output=json", "map", "check"]
        {
            both.same(&format!("{line} {address}"));
        }
        both.same(&format!("measure -O qcow2 --output=json {address}"));
        both.same(&format!("compare a.raw {address}"));
    }
    for options in [
        "driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=disk,file.export=exp",
        "driver=qcow2,file.driver=nbd,file.path=plain",
        "file.driver=nbd,file.path=plain",
        "driver=raw,file.driver=nbd",
        "driver=raw,file.driver=nbd,file.path=disk,file.export=exp,file.nope=1",
        "driver=raw,file.driver=nbd,file.path=disk,file.host=localhost",
        "file.filename=nbd+unix:///exp?socket=disk",
    ] {
        both.same(&format!("info --image-opts {options}"));
    }
    both.same("info json:{\"driver\":\"raw\",\"file\":{\"driver\":\"nbd\",\"server\":{\"type\":\"unix\",\"path\":\"disk\"},\"export\":\"exp\"}}");
    for wrong in
        ["nbd+unix:///nope?socket=disk", "nbd+unix:///?socket=nowhere", "nbd://localhost:1", "nbd:", "nbd+unix:///"]
    {
        both.same(&format!("info {wrong}"));
    }
}

#[test]
fn what_is_served_is_converted_and_written_the_same() {
    let Some((both, _servers)) = both() else { return };
    for line in [
        format!("convert -O raw {PLAIN} x.raw"),
        format!("convert -f raw -O qcow2 {DISK} x.qcow2"),
        format!("dd -f raw -O raw bs=1M skip=1 count=2 if={DISK} of=y.raw"),
        format!("convert -O raw a.raw {DISK}"),
        format!("compare -f raw -F raw a.raw {DISK}"),
        format!("create -q -f raw {DISK} 8M"),
        format!("create -q -f raw {DISK} 9M"),
        format!("resize -f raw {DISK} 9M"),
        format!("resize -f raw --shrink {DISK} 7M"),
        format!("create -q -f qcow2 {DISK} 4M"),
        format!("info --output=json {DISK}"),
        format!("convert -n -O qcow2 a.raw {DISK}"),
        format!("convert -n -O raw a.raw {DISK}"),
        format!("compare -f raw -F raw a.raw {DISK}"),
        format!("convert -n -O raw a.raw {PLAIN}"),
        "convert -n --target-image-opts a.raw driver=raw,file.driver=nbd,file.path=disk,file.export=exp".to_owned(),
        format!("create -q -f qcow2 -o cluster_size=4k {DISK} 6M"),
        format!("resize -q -f qcow2 {DISK} 5M --shrink"),
        format!("snapshot -q -c one {DISK}"),
        format!("check -q -f qcow2 {DISK}"),
    ] {
        // Nothing is written to what only looks like an image; `snapshot` takes no format here.
        if line.starts_with("snapshot") {
            both.theirs_ok(&line);
            let options = "driver=qcow2,file.driver=nbd,file.path=disk,file.export=exp";
            both.ours.ok(&format!("snapshot -q -c one --image-opts {options}"));
        } else {
            both.same(&line);
        }
    }
    for name in ["x.raw", "x.qcow2", "y.raw"] {
        let [theirs, ours] = both.desks();
        let format = if name.ends_with("qcow2") { "qcow2" } else { "raw" };
        let other = theirs.path(name);
        ours.ok(&format!("compare -f {format} -F {format} {name} {}", other.display()));
    }
}
