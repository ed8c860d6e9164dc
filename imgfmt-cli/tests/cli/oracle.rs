//! `imgfmt info --output json` has all that `qemu-img info --output=json` has, and says the same.

use std::process::Command;

use serde_json::Value;

use crate::desk::Desk;

/// Runs `qemu-img`, or says why not.
fn qemu_img(desk: &Desk, line: &str) -> Option<String> {
    let output = Command::new("qemu-img").args(line.split_whitespace()).current_dir(desk.path(".")).output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) => {
            assert!(std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none_or(|value| value != "1"), "qemu-img: {error}");
            println!("skipped: qemu-img cannot be run: {error}");
            None
        }
    }
}

/// Where `ours` lacks or contradicts what `theirs` has. Of paths and of what a file takes on its file system, which is
/// settled late, only the type has to be the same.
fn differences(theirs: &Value, ours: &Value, at: &str, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, value) in theirs {
                differences(value, ours.get(key).unwrap_or(&Value::Null), &format!("{at}/{key}"), found);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                differences(theirs, ours, &format!("{at}/{index}"), found);
            }
        }
        (Value::String(_), Value::String(_)) if at.ends_with("/filename") => {}
        (Value::Number(_), Value::Number(_)) if at.ends_with("/actual-size") => {}
        _ if theirs == ours => {}
        _ => found.push(format!("{at}: {theirs}, and not {ours}")),
    }
}

/// Makes an image with each of `lines`, and compares what both programs say of it.
fn check(lines: &[&str], info: &str) {
    let desk = Desk::new();
    desk.disk("raw", 4 << 20, &[0, 1 << 20]);
    for line in lines {
        if qemu_img(&desk, line).is_none() {
            return;
        }
    }
    let Some(theirs) = qemu_img(&desk, &format!("info --output=json {info}")) else {
        return;
    };
    let ours = desk.ok(&format!("info --output json {info}"));
    let (theirs, ours) = (serde_json::from_str(&theirs).unwrap(), serde_json::from_str(&ours).unwrap());
    let mut found = Vec::new();
    differences(&theirs, &ours, "", &mut found);
    assert_eq!(found, [""; 0], "{lines:?}");
}

#[test]
fn qemu_img_says_nothing_of_raw_images_that_imgfmt_does_not() {
    check(&[], "raw");
}

#[test]
fn qemu_img_says_nothing_of_qcow2_images_that_imgfmt_does_not() {
    check(&["convert -O qcow2 -o compat=0.10 raw img"], "img");
    check(&["convert -O qcow2 -c -o compression_type=zstd,cluster_size=128k,lazy_refcounts=on raw img"], "img");
    let chain = ["create -f qcow2 -b raw -F raw img", "snapshot -c one img", "snapshot -c two img"];
    check(&chain, "img");
    check(&chain, "--backing-chain img");
}

#[test]
fn qemu_img_says_nothing_of_vmdk_images_that_imgfmt_does_not() {
    for subformat in ["monolithicSparse", "streamOptimized", "monolithicFlat", "twoGbMaxExtentSparse"] {
        check(&[&format!("convert -O vmdk -o subformat={subformat} raw img.vmdk")], "img.vmdk");
    }
}
