//! The program under its own name.

use super::Device;
use crate::desk::{Desk, Ran};

/// Runs the program under its own name.
fn run(desk: &Desk, line: &str) -> Ran {
    Ran::from(desk.command(env!("CARGO_BIN_EXE_imgfmt"), line).output().unwrap())
}

/// Runs it, and it succeeds.
fn ok(desk: &Desk, line: &str) -> String {
    let ran = run(desk, line);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}: {}", ran.stdout);
    ran.stdout
}

#[test]
fn a_device_is_converted_to_described_checked_hashed_and_compacted() {
    let Some(device) = Device::new(8 << 20, 512) else { return };
    let desk = Desk::new();
    desk.disk("src.raw", 4 << 20, &[0, 1 << 20]);
    let hash = ok(&desk, "hash src.raw").split(' ').next().unwrap().to_owned();
    for target in ["raw", "qcow2", "vhdx", "vdi"] {
        device.fill();
        ok(&desk, &device.line(&format!("convert -q --verify -f raw -O {target} src.raw DEV")));
        if target == "raw" {
            assert!(device.bytes().starts_with(&desk.read("src.raw")) && device.is_untouched(4 << 20));
            continue;
        }
        let info: serde_json::Value = serde_json::from_str(&ok(&desk, &device.line("info --output json DEV"))).unwrap();
        let (format, size) = (info["format"].as_str(), info["virtual-size"].as_u64());
        assert_eq!((format, size), (Some(target), Some(4 << 20)));
        assert!(ok(&desk, &device.line("check DEV")).contains("nothing is wrong"), "{target}");
        assert!(ok(&desk, &device.line("hash DEV")).starts_with(&hash), "{target}");
        ok(&desk, &device.line("compare DEV src.raw"));
    }
}

#[test]
fn an_image_on_a_device_is_compacted_where_it_is() {
    let Some(device) = Device::new(8 << 20, 512) else { return };
    let desk = Desk::new();
    desk.disk("src.raw", 4 << 20, &[0, 1 << 20]);
    device.fill();
    ok(&desk, &device.line("convert -q -f raw -O qcow2 src.raw DEV"));
    let told = run(&desk, &device.line("compact -f qcow2 DEV"));
    assert!(told.code == Some(1) && told.stderr.contains("--in-place"), "{told:?}");
    ok(&desk, &device.line("compact --in-place -f qcow2 DEV"));
    assert!(ok(&desk, &device.line("check DEV")).contains("nothing is wrong"));
    ok(&desk, &device.line("compare DEV src.raw"));
}

#[test]
fn a_device_that_is_too_small_is_not_touched() {
    let Some(device) = Device::new(2 << 20, 512) else { return };
    let desk = Desk::new();
    desk.disk("src.raw", 4 << 20, &[0, 1 << 20]);
    device.fill();
    for line in ["convert -f raw -O raw src.raw DEV", "convert -n -f raw -O raw src.raw DEV", "create -f raw DEV 4M"] {
        let ran = run(&desk, &device.line(line));
        assert_eq!(ran.code, Some(1), "{line}");
        assert!(ran.stderr.contains("2097152"), "{line}: {}", ran.stderr);
        assert!(device.is_untouched(0), "{line}");
    }
}
