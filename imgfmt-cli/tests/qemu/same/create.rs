//! `create`.

use crate::both::Both;

#[test]
fn new_images_and_what_is_said_of_them() {
    let Some(both) = Both::new() else { return };
    both.disk("raw", 4 << 20, &[0]);
    both.make("convert -O qcow2 raw base", "base");
    for (format, line) in [
        ("raw", "img 1M"),
        ("raw", "-f raw -q img 1M"),
        ("raw", "-f raw img 1000"),
        ("raw", "-f file img 1M"),
        ("raw", "file:img 1M"),
        ("qcow2", "-f qcow2 file:img 1M"),
        ("qcow2", "-f qcow2 -b base -F qcow2 file:./img"),
        ("raw", "-f raw img 1M -o preallocation=falloc"),
        ("qcow2", "-f qcow2 img 1M"),
        ("qcow2", "-fqcow2 -o compat=0.10 img 1M"),
        ("qcow2", "-f qcow2 -o cluster_size=128k,preallocation=metadata img 1M"),
        ("qcow2", "-f qcow2 -o size=3M img"),
        ("qcow2", "-f qcow2 -o cluster_size=0x1000,refcount_bits=0x10,nocow=on,extent_size_hint=64k img 1.0"),
        ("qcow2", "-f qcow2 -o nolazy_refcounts img 1M"),
        ("qcow2", "-f qcow2 -u -b nbd://host/disk -F raw img 1M"),
        ("qcow2", "-f qcow2 -o lazy_refcounts=on -o refcount_bits=8 -o extended_l2=on img 1.5G"),
        ("qcow2", "-f qcow2 -b base -F qcow2 img"),
        ("qcow2", "-f qcow2 -b base -F qcow2 img 8M"),
        ("qcow2", "-f qcow2 -o backing_file=base,backing_fmt=qcow2,cluster_size=64k img"),
        ("qcow2", "-f qcow2 -u -b nowhere -F qcow2 img 5M"),
        ("vmdk", "-f vmdk img 1M"),
        ("vmdk", "-f vmdk -o adapter_type=lsilogic,hwversion=7 img 1M"),
        ("vpc", "-f vpc img 100M"),
        ("vpc", "-f vpc -o force_size=on img 100M"),
        ("vdi", "-f vdi img 5000000"),
        ("vdi", "-f vdi -o static=on img 3M"),
        ("parallels", "-f parallels img 5000000"),
        ("parallels", "-f parallels -o cluster_size=1000 img 3M"),
        ("vhdx", "-f vhdx -o block_size=2M img 8M"),
        ("vhdx", "-f vhdx -o block_size=1M,subformat=fixed img 8M"),
        ("vhdx", "-f vhdx -o block_size=512M,log_size=3 img 8M"),
    ] {
        both.same(&format!("create {line}"));
        let (theirs, ours) = both.infos(&format!("info -f {format} --output=json img"));
        for key in ["format", "virtual-size", "cluster-size", "backing-filename", "backing-filename-format"] {
            assert_eq!(theirs[key], ours[key], "{line}: {key}");
        }
    }
}

#[test]
fn images_build_on_other_formats() {
    let Some(both) = Both::new() else { return };
    both.disk("raw", 4 << 20, &[0]);
    both.make("create -f qcow2 img 4M", "img");
    for format in ["raw", "vmdk", "vpc", "vhdx", "vdi", "parallels", "qcow"] {
        both.make(&format!("convert -O {format} raw base"), "base");
        for line in [
            format!("create -f qcow2 -b base -F {format} img"),
            format!("create -f qcow2 -u -b base -F {format} img 4M"),
            format!("convert -O qcow2 -B base -F {format} base img"),
            format!("rebase -f qcow2 -b base -F {format} img"),
            format!("rebase -u -f qcow2 -b base -F {format} img"),
        ] {
            assert_eq!(both.same(&line).code, Some(0), "{line}");
            both.sound("img");
            both.same_content("img", "qcow2");
        }
    }
}

#[test]
fn new_images_that_cannot_be() {
    let Some(both) = Both::new() else { return };
    both.disk("raw", 4 << 20, &[0]);
    both.make("convert -O qcow2 raw base", "base");
    for line in [
        "",
        "-f raw img",
        "-f raw img foo",
        "-f raw img -- -5",
        "-f raw img 9E",
        "-f raw img 1M 2M",
        "-f foo img 1M",
        "-f bochs img 1M",
        "-f qcow2 -o foo=1 img 1M",
        "-f vdi -o block_size=2M img 1M",
        "-f qcow2 -b base img",
        "-f qcow2 -u -b nowhere -F qcow2 img",
        "-f qcow2 -F qcow2 img 1M",
        "-f qcow2 -u -b nowhere img 1M",
        "-f qcow2 -b nowhere -F qcow2 img",
        "-f qcow2 -b raw -F qcow2 img",
        "-f qcow2 -b raw -F foo img",
        "-f qcow2 -b \"\" -F raw img 1M",
        "-f raw -b raw -F raw img",
        "-f qcow2 -b base -F qcow2 base",
        "-f qcow2 -o \"\" img 1M",
        "-f qcow2 -o , img 1M",
        "-f qcow2 -o ,, img 1M",
        "-f qcow2 -o cluster_size=4k, img 1M",
        "-f qcow2 -o =1 img 1M",
        "-f qcow2 -o size=2M img 1M",
        "-f qcow2 -o size=foo img",
        "-f qcow2 -o cluster_size=foo img 1M",
        "-f qcow2 -o cluster_size= img 1M",
        "-f qcow2 -o cluster_size=3k img 1M",
        "-f qcow2 -o refcount_bits=foo img 1M",
        "-f qcow2 -o refcount_bits=3 img 1M",
        "-f qcow2 -o refcount_bits=8,compat=0.10 img 1M",
        "-f qcow2 -o lazy_refcounts=1 img 1M",
        "-f qcow2 -o lazy_refcounts=on,compat=v2 img 1M",
        "-f qcow2 -o compat=1.0 img 1M",
        "-f qcow2 -o extended_l2=on,cluster_size=8k img 1M",
        "-f qcow2 -o extended_l2=on,compat=0.10 img 1M",
        "-f qcow2 -o compression_type=lz4 img 1M",
        "-f qcow2 -o compression_type=zstd,compat=0.10 img 1M",
        "-f qcow2 -o preallocation=foo img 1M",
        "-f qcow2 -o data_file_raw=on img 1M",
        "-f qcow2 -o data_file= img 1M",
        "-f qcow2 -o data_file=d,compat=0.10 img 1M",
        "-f raw -o preallocation=metadata img 1M",
        "-f raw -o preallocation=foo img 1M",
        "-f vmdk -o subformat=foo img 1M",
        "-f vpc -o subformat=foo img 1M",
        "-f vhdx -o subformat=foo img 1M",
        "-f qcow2 . 1M",
        "-f qcow2 img 7E",
        "-f raw img 7E",
        "-f parallels -o cluster_size=0 img 1M",
        "-f parallels -o cluster_size=2G img 1M",
        "-f parallels -o cluster_size=512 img 4T",
        "-f raw /nowhere/img 1M",
        "-f qcow2 /nowhere/img 1M",
    ] {
        both.same_fault(&format!("create {line}"));
    }
    // Only a name is stored, so what is no whole file cannot be built on.
    both.ours.fails(r#"create -f qcow2 -b json:{"file.filename":"raw","offset":512} -F raw img"#);
    for line in ["-f vdi img 512T", "-f vdi -o static=maybe img 1M", "-f vdi -b base -F qcow2 img"] {
        assert_eq!(both.same(&format!("create {line}")).code, Some(1), "{line}");
    }
}
