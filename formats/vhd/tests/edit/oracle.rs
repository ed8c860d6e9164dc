//! qemu-img agrees with what was changed in place. Skipped where it is not installed; `IMGFMT_REQUIRE_ORACLES=1` makes
//! that a failure.

use std::process::Command;

use imgfmt_core::conformance::{Recording, check_edits, random_steps};

use crate::images::{alone, edited};

/// Whether the oracle is there.
fn has_qemu_img() -> bool {
    let there = Command::new("qemu-img").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("IMGFMT_REQUIRE_ORACLES").is_none(), "qemu-img is not installed");
    there
}

#[test]
fn edited_images_hold_the_same_for_qemu_img() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (seed, options) in ["block_size=512k", "block_size=2M", "subformat=fixed"].iter().enumerate() {
        let files = alone(options, 3 << 20, &[(0..65536, 0x44)]);
        let image = edited(&files, 512 * 64);
        let after = check_edits(&image, &random_steps(&image, seed as u64 + 11, 14, 3 << 20, 512));
        std::fs::write(folder.path().join("top"), &after[0].1).unwrap();
        let model = image.read(&Recording::new(&after).files()).unwrap();
        std::fs::write(folder.path().join("model"), model).unwrap();
        let opts = "driver=vpc,force_size_calc=current_size,file.filename=top";
        let output = Command::new("qemu-img")
            .args(["compare", "--image-opts", opts, "driver=raw,file.filename=model"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{options}: {said}");
    }
}
