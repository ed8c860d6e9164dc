//! LUKS containers: made and changed by one program, and read by the other.

use crate::both::Both;

/// Both, with a disk and two secrets.
fn both() -> Option<Both> {
    let both = Both::new()?;
    both.disk("raw", 4 << 20, &[0, 1 << 20]);
    for desk in both.desks() {
        desk.write("key", "hunter2");
        desk.write("key2", "hunter3");
    }
    Some(both)
}

/// The options that open `name` with the first secret.
fn opened(name: &str) -> String {
    format!("{SECRETS} --image-opts driver=luks,key-secret=s,file.filename={name}")
}

/// Has both read their container as a raw disk, which is the same.
fn same_disk(both: &Both, name: &str) {
    assert_eq!(both.same(&format!("convert {} out", opened(name))).code, Some(0));
    both.same_content("out", "raw");
}

#[test]
fn containers_of_one_are_read_by_the_other() {
    let Some(both) = both() else { return };
    for options in [
        "",
        ",cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,hash-alg=sha1",
        ",cipher-alg=serpent-256,hash-alg=sha512",
        ",cipher-alg=twofish-256,cipher-mode=cbc,ivgen-alg=plain",
    ] {
        both.make(&format!("convert -O luks {SECRETS} -o key-secret=s,iter-time=10{options} raw theirs"), "theirs");
        same_disk(&both, "theirs");
        let line = format!("convert -O luks {SECRETS} -o key-secret=s,iter-time=10{options} raw ours");
        both.ours.ok(&line);
        std::fs::copy(both.ours.path("ours"), both.desks()[0].path("ours")).unwrap();
        same_disk(&both, "ours");
        for line in ["info --output=json ours", "info --output=json -f luks ours"] {
            assert_eq!(both.same(line).code, Some(0), "{line}");
        }
    }
    assert_eq!(both.same(&format!("map --output=json {}", opened("ours"))).code, Some(0));
    assert_eq!(both.same(&format!("map {}", opened("ours"))).code, Some(1));
    assert_eq!(both.same(&format!("check {}", opened("ours"))).code, Some(63));
    assert_eq!(both.same("convert ours out").code, Some(1));
    assert_eq!(both.same("compare ours raw").code, Some(2));
}

#[test]
fn containers_are_made_resized_and_measured() {
    let Some(both) = both() else { return };
    assert_eq!(both.same(&format!("create -f luks {SECRETS} -o key-secret=s,iter-time=10 new 8M")).code, Some(0));
    assert_eq!(both.same(&format!("resize {} +1M", opened("new"))).code, Some(0));
    assert_eq!(both.same(&format!("resize --shrink {} 5M", opened("new"))).code, Some(0));
    for line in [
        "measure -O luks --size 1G -o key-secret=s,cipher-alg=aes-128 --object secret,id=s,file=key",
        "measure -O luks raw -o key-secret=s --output=json --object secret,id=s,file=key",
        "measure -O qcow2 --size 1G -o encrypt.format=luks,encrypt.key-secret=s --object secret,id=s,file=key",
    ] {
        assert_eq!(both.same(line).code, Some(0), "{line}");
    }
    assert_eq!(both.same("create -f luks new 8M").code, Some(1));
    assert_eq!(both.same("create -f luks -o key-secret=nobody new 8M").code, Some(1));
}

#[test]
fn a_container_that_is_there_is_written_into() {
    let Some(both) = both() else { return };
    both.make(&format!("create -f luks {SECRETS} -o key-secret=s,iter-time=10 there 4M"), "there");
    let line = format!("convert -n --target-image-opts raw {SECRETS} driver=luks,key-secret=s,file.filename=there");
    assert_eq!(both.same(&line).code, Some(0));
    assert!(both.ours.read("there").starts_with(b"LUKS"), "the header was overwritten");
    same_disk(&both, "there");
}

#[test]
fn key_slots_that_one_fills_open_for_the_other() {
    let Some(both) = both() else { return };
    both.make(&format!("convert -O luks {SECRETS} -o key-secret=s,iter-time=10 raw disk"), "disk");
    let amend = |what: &str| format!("amend {} -o {what}", opened("disk"));
    assert_eq!(both.same(&amend("state=active,new-secret=s2,iter-time=10,keyslot=5")).code, Some(0));
    std::fs::copy(both.ours.path("disk"), both.desks()[0].path("disk")).unwrap();
    assert_eq!(both.same(&amend("state=inactive,old-secret=s")).code, Some(0));
    std::fs::copy(both.ours.path("disk"), both.desks()[0].path("disk")).unwrap();
    assert_eq!(both.same(&format!("convert {} out", opened("disk"))).code, Some(1));
    let second = format!("convert {SECRETS} --image-opts driver=luks,key-secret=s2,file.filename=disk out");
    assert_eq!(both.same(&second).code, Some(0));
    both.same_content("out", "raw");
}

/// The secrets.
const SECRETS: &str = "--object secret,id=s,file=key --object secret,id=s2,file=key2";
