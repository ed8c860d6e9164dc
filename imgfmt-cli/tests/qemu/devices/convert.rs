//! Disks and images that are written to devices.

use super::Device;
use crate::both::Both;

/// Guest bytes of the disk.
const SIZE: u64 = 4 << 20;

/// A disk with data at its front, in the middle, and at its end, raw and as qcow2.
fn both() -> Option<Both> {
    let both = Both::new()?;
    both.disk("src.raw", SIZE, &[0, 1 << 20, SIZE - 65_536]);
    both.make("convert -O qcow2 src.raw src.qcow2", "src.qcow2");
    Some(both)
}

#[test]
fn a_disk_is_the_front_of_a_device_and_the_rest_stays() {
    for sector in [512, 4096] {
        let (Some(both), Some(device)) = (both(), Device::new(6 << 20, sector)) else { return };
        let disk = both.ours.read("src.raw");
        for line in [
            "convert -O host_device -t directsync -S 0 -f qcow2 -W src.qcow2 DEV",
            "convert -O raw -S 0 -f qcow2 -W src.qcow2 DEV",
            "convert -f qcow2 -t directsync -O host_device src.qcow2 DEV",
            "convert -t none -T none -f qcow2 -O raw src.qcow2 DEV",
            "convert -f raw -O raw src.raw host_device:DEV",
            "convert -n -f qcow2 -O raw src.qcow2 DEV",
            "convert -n -t none -T none -f qcow2 -O host_device src.qcow2 DEV",
            "convert -n -W -m 8 -S 0 -f qcow2 -O raw src.qcow2 DEV",
            "dd -f raw -O raw if=src.raw of=DEV bs=64k",
        ] {
            for (ran, bytes) in device.both(&both, line) {
                assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}");
                assert!(bytes.starts_with(&disk), "{line}: another disk");
                assert!(bytes[disk.len()..].iter().all(|byte| *byte == 0xff), "{line}: the rest is not what it was");
            }
        }
    }
}

#[test]
fn zeros_that_are_no_whole_sectors_of_the_device_are_zeros_too() {
    for sector in [512, 4096] {
        let (Some(both), Some(device)) = (Both::new(), Device::new(2 << 20, sector)) else { return };
        // Runs of zeros that begin and end anywhere, as no such device can discard them.
        let disk: Vec<u8> = (0..(1 << 20) + 1536).map(|at| u8::from(at / 5120 % 3 == 0) * 7).collect();
        both.desks().iter().for_each(|desk| desk.write("src.raw", &disk));
        for line in ["convert -S 512 -f raw -O raw src.raw DEV", "convert -n -S 1k -f raw -O raw src.raw DEV"] {
            for (ran, bytes) in device.both(&both, line) {
                assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}");
                assert!(bytes.starts_with(&disk), "{line}, sectors of {sector}");
            }
        }
    }
}

#[test]
fn a_device_that_is_said_to_be_zero_gets_no_zeros() {
    let (Some(both), Some(device)) = (both(), Device::new(6 << 20, 512)) else { return };
    let line = "convert -n --target-is-zero -f qcow2 -O raw src.qcow2 DEV";
    let [theirs, ours] = device.both(&both, line);
    assert_eq!((theirs.0.code, ours.0.code), (Some(0), Some(0)), "{}", ours.0.stderr);
    assert!(theirs.1 == ours.1);
    device.put(&vec![0; SIZE as usize]);
    both.ours.ok(&device.line(line));
    assert!(device.bytes().starts_with(&both.ours.read("src.raw")));
}

#[test]
fn a_device_that_is_too_small_is_not_touched() {
    let (Some(both), Some(device)) = (both(), Device::new(2 << 20, 512)) else { return };
    for line in [
        "convert -O host_device -t directsync -S 0 -f qcow2 -W src.qcow2 DEV",
        "convert -O raw -f qcow2 src.qcow2 DEV",
        "convert -n -O raw -f qcow2 src.qcow2 DEV",
        "convert -n -O host_device -f qcow2 src.qcow2 DEV",
        "create -f raw DEV 4M",
    ] {
        let [theirs, ours] = device.both(&both, line);
        assert_eq!((theirs.0.code, ours.0.code), (Some(1), Some(1)), "{line}: {}", ours.0.stderr);
        assert!(device.is_untouched(0), "{line}");
        let told = &ours.0.stderr;
        let known = told.contains("the device has 2097152") || told.contains("output file is smaller than input file");
        assert!(known, "{line}: {told}");
    }
    // An image that does not fit is no longer what it says at its end, and that is told.
    device.fill();
    assert!(both.ours.fails(&device.line("convert -S 0 -f raw -O qcow2 src.raw DEV")).contains("No space left"));
}

#[test]
fn an_image_that_ends_with_its_footer_is_not_put_where_nobody_would_find_it() {
    let (Some(both), Some(device)) = (both(), Device::new(6 << 20, 512)) else { return };
    for options in ["vpc -o subformat=fixed,force_size=on", "vmdk -o subformat=streamOptimized"] {
        device.fill();
        let told = both.ours.fails(&device.line(&format!("convert -f raw src.raw -O {options} DEV")));
        assert!(told.contains("footer"), "{options}: {told}");
        assert!(device.is_untouched(0), "{options}");
    }
    let Some(device) = Device::new((4 << 20) + 512, 512) else { return };
    both.ours.ok(&device.line("convert -f raw src.raw -O vpc -o subformat=fixed,force_size=on DEV"));
    both.theirs_ok(&device.line("compare -q -f vpc -F raw DEV src.raw"));
}

#[test]
fn images_lie_on_devices_whatever_was_there() {
    let (Some(both), Some(device)) = (both(), Device::new(24 << 20, 512)) else { return };
    for options in [
        "qcow2",
        "qcow2 -c",
        "qcow2 -o cluster_size=512",
        "qcow2 -o extended_l2=on,cluster_size=128k",
        "qcow2 -o preallocation=metadata",
        "qcow2 -o preallocation=falloc",
        "vpc -o force_size=on",
        "vhdx -o block_size=1M",
        "vmdk",
        "vdi",
        "vdi -o static=on",
        "parallels",
    ] {
        device.fill();
        both.ours.ok(&device.line(&format!("convert -f raw src.raw -O {options} DEV")));
        let format = options.split(' ').next().unwrap();
        let line = device.line(&format!("compare -f {format} -F raw DEV src.raw"));
        let ran = both.same(&line);
        assert_eq!(ran.code, Some(0), "{options}: {}{}", ran.stdout, ran.stderr);
        if format != "vpc" {
            let checked = both.ours.run(&device.line(&format!("check -f {format} DEV")));
            assert!(checked.stdout.contains("No errors were found"), "{options}: {checked:?}");
        }
    }
}
