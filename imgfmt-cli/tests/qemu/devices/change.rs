//! Images on devices that are changed where they are.

use super::Device;
use crate::both::Both;
use crate::desk::Ran;

#[test]
fn an_image_on_a_device_is_written_to_as_one_in_a_file() {
    let (Some(both), Some(device)) = (Both::new(), Device::new(24 << 20, 512)) else { return };
    for options in [
        "qcow2",
        "qcow2 -o cluster_size=512",
        "qcow2 -o extended_l2=on,cluster_size=128k",
        "vdi",
        "vhdx -o block_size=1M",
    ] {
        let format = options.split(' ').next().unwrap();
        // Nothing is zero that nobody has written.
        device.fill();
        both.ours.ok(&device.line(&format!("create -q -f {options} DEV 4M")));
        both.make(&format!("create -q -f {options} base.img 4M"), "base.img");
        both.make(&format!("create -q -f qcow2 -o cluster_size=512 -F {format} -b base.img over.qcow2"), "over.qcow2");
        for write in ["write -P 7 1000 3000", "write -P 9 1M 512", "write -P 5 3000000 70000", "write -z 2M 100k"] {
            both.write("over.qcow2", "qcow2", write);
        }
        both.theirs_ok("commit -q over.qcow2");
        both.ours.ok(&device.line(&format!("rebase -u -f qcow2 -F {format} -b DEV over.qcow2")));
        both.ours.ok("commit -q -f qcow2 over.qcow2");
        both.theirs_ok(&device.line(&format!("compare -q -f {format} -F {format} base.img DEV")));
        let checked = both.ours.run(&device.line(&format!("check -f {format} DEV")));
        assert!(checked.stdout.contains("No errors were found"), "{options}: {checked:?}");
    }
}

#[test]
fn images_get_new_blocks_on_a_device_that_goes_on_behind_them() {
    let (Some(both), Some(device)) = (Both::new(), Device::new(24 << 20, 512)) else { return };
    both.disk("src.raw", 4 << 20, &[0, 1 << 20, (4 << 20) - 65_536]);
    for create in ["vmdk", "vpc -o force_size=on", "vdi"] {
        let format = create.split(' ').next().unwrap();
        for by_them in [false, true] {
            let line = device.line(&format!("create -q -f {create} DEV 4M"));
            if by_them {
                // It takes what is there for zeros.
                device.put(&vec![0; 24 << 20]);
                both.theirs_ok(&line);
            } else {
                device.fill();
                both.ours.ok(&line);
            }
            for line in
                ["convert -n -f raw -O FMT src.raw DEV", "resize -q -f FMT DEV 6M", "resize -q -f FMT --shrink DEV 4M"]
            {
                // What the other program cannot, this one can: only the result is compared.
                let ran = both.ours.run(&device.line(&line.replace("FMT", format)));
                assert_eq!(ran.code, Some(0), "{create} {line}: {}", ran.stderr);
                if !line.contains("6M") {
                    // Both read the same.
                    let compare = device.line(&format!("compare -q -f {format} -F raw DEV src.raw"));
                    both.ours.ok(&compare);
                    both.theirs_ok(&compare);
                }
            }
            let check = device.line(&format!("check -f {} DEV", if format == "vpc" { "vhd" } else { format }));
            let checked = Ran::from(both.ours.command(env!("CARGO_BIN_EXE_imgfmt"), &check).output().unwrap());
            assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{create}: {checked:?}");
        }
    }
}

#[test]
fn every_command_changes_a_qcow2_image_on_a_device() {
    for sector in [512, 4096] {
        let (Some(both), Some(device)) = (Both::new(), Device::new(8 << 20, sector)) else { return };
        both.disk("src.raw", 4 << 20, &[0, 1 << 20]);
        device.fill();
        both.ours.ok(&device.line("create -f qcow2 DEV 4M"));
        for line in [
            "convert -n -f raw -O qcow2 src.raw DEV",
            "snapshot -f qcow2 -c one DEV",
            "bench -q -f qcow2 -w -c 4 --pattern 7 DEV",
            "snapshot -f qcow2 -a one DEV",
            "snapshot -f qcow2 -d one DEV",
            "bitmap -f qcow2 --add DEV b",
            "resize -q -f qcow2 DEV 5M",
            "resize -q -f qcow2 --preallocation=metadata DEV 6M",
            "resize -q -f qcow2 --shrink DEV 4M",
            "bitmap -f qcow2 --remove DEV b",
            "amend -f qcow2 -o lazy_refcounts=on DEV",
            "check -q -f qcow2 -r all DEV",
        ] {
            let ran = both.ours.run(&device.line(line));
            assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}");
            both.theirs_ok(&device.line("check -q -f qcow2 DEV"));
        }
        both.theirs_ok(&device.line("compare -q -f qcow2 -F raw DEV src.raw"));
        // Leaks are given back, and what is behind the end of the image is none.
        let ran = both.same(&device.line("check -f qcow2 -r leaks DEV"));
        assert!(ran.stdout.contains("No errors were found"), "{}", ran.stdout);
    }
}

#[test]
fn a_size_that_a_device_has_no_room_for_leaves_the_image_as_it_was() {
    let (Some(both), Some(device)) = (Both::new(), Device::new(8 << 20, 512)) else { return };
    both.disk("src.raw", 4 << 20, &[0, 1 << 20]);
    for preallocation in ["metadata", "falloc", "full"] {
        device.fill();
        both.ours.ok(&device.line("convert -f raw -O qcow2 src.raw DEV"));
        both.ours.fails(&device.line(&format!("resize -f qcow2 --preallocation={preallocation} DEV 64M")));
        let checked = both.ours.ok(&device.line("check -f qcow2 DEV"));
        assert!(checked.contains("No errors were found") && checked.contains("2/64 = "), "{preallocation}: {checked}");
        both.theirs_ok(&device.line("check -q -f qcow2 DEV"));
        both.theirs_ok(&device.line("compare -q -f qcow2 -F raw DEV src.raw"));
    }
}

#[test]
fn a_disk_on_a_device_is_written_to_where_it_is() {
    let (Some(both), Some(device)) = (Both::new(), Device::new(4 << 20, 4096)) else { return };
    device.fill();
    both.make_in_both("create -q -f qcow2 -o cluster_size=512 over.qcow2 4M");
    both.write("over.qcow2", "qcow2", "write -P 7 1000 3000");
    both.write("over.qcow2", "qcow2", "write -z 100k 1000");
    both.ours.ok(&device.line("rebase -u -f qcow2 -F raw -b DEV over.qcow2"));
    both.ours.ok("commit -q -f qcow2 over.qcow2");
    let bytes = device.bytes();
    let is = |range: std::ops::Range<usize>, value: u8| bytes[range].iter().all(|byte| *byte == value);
    assert!(is(1000..4000, 7) && is(102_400..103_400, 0) && device.is_untouched(200_000));
    both.ours.ok(&device.line("bench -q -f raw -w -c 2 --pattern 9 DEV"));
    assert!(device.bytes().iter().take(8192).all(|byte| *byte == 9));
}
