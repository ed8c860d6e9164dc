//! `qemu-img info` sees the features that were asked for.

use serde_json::{Value, json};

use crate::support::Outcome;
use crate::support::disks::runs;
use crate::support::engine::Recipe;
use crate::support::qemu::QemuImg;

#[test]
fn new_images_have_the_features_that_were_asked_for() -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let disk = runs();
    Recipe::qcow2("").write(&disk.image(), &folder.path().join(BASE))?;
    let cases = [
        (Recipe::qcow2(""), 65_536, data(&[])),
        (Recipe::qcow2("compat=0.10"), 65_536, json!({"compat": "0.10", "refcount-bits": 16})),
        (Recipe::qcow2("compat=v3,cluster_size=512"), 512, data(&[])),
        (Recipe::qcow2("cluster_size=2M"), 2 << 20, data(&[])),
        (Recipe::qcow2("refcount_bits=1"), 65_536, data(&[("refcount-bits", json!(1))])),
        (Recipe::qcow2("refcount_bits=64,cluster_size=4k"), 4096, data(&[("refcount-bits", json!(64))])),
        (Recipe::qcow2("lazy_refcounts=on"), 65_536, data(&[("lazy-refcounts", json!(true))])),
        (Recipe::qcow2("compression_type=zstd"), 65_536, data(&[("compression-type", json!("zstd"))])),
        (Recipe::qcow2("compression_type=zstd").compressed(), 65_536, data(&[("compression-type", json!("zstd"))])),
        (Recipe { backing: Some(BASE), ..Recipe::qcow2("cluster_size=4k") }, 4096, data(&[])),
    ];
    for (recipe, cluster_size, expected) in cases {
        let path = folder.path().join("disk.qcow2");
        recipe.write(&disk.image(), &path)?;
        let info = qemu.info(&path)?;
        assert_eq!(info["format"], "qcow2", "{recipe}");
        assert_eq!(info["virtual-size"], disk.bytes.len(), "{recipe}");
        assert_eq!(info["cluster-size"], cluster_size, "{recipe}");
        assert_eq!(info["dirty-flag"], false, "{recipe}");
        assert_eq!(info["backing-filename"].as_str(), recipe.backing, "{recipe}");
        assert_eq!(info["backing-filename-format"].as_str(), recipe.backing.map(|_| "qcow2"), "{recipe}");
        assert_eq!(subset(&info["format-specific"]["data"], &expected), expected, "{recipe}: {info}");
    }
    Ok(())
}

#[test]
fn preallocation_takes_the_space_that_was_asked_for() -> Outcome {
    let Some(qemu) = QemuImg::find() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let disk = runs();
    let size = disk.bytes.len() as u64;
    let actual = |recipe: Recipe| -> Outcome<u64> {
        let path = folder.path().join("disk");
        recipe.write(&disk.image(), &path)?;
        qemu.info(&path)?["actual-size"].as_u64().ok_or_else(|| "info has no actual size".into())
    };
    let sparse = actual(Recipe::qcow2(""))?;
    assert!(sparse < size - (1 << 20), "{sparse} of {size}");
    assert!(actual(Recipe::qcow2("preallocation=metadata"))? < size - (1 << 20));
    for format in [Recipe::raw, Recipe::qcow2] {
        assert!(actual(format("preallocation=falloc"))? >= size);
        assert!(actual(format("preallocation=full"))? >= size);
    }
    assert!(actual(Recipe::raw("preallocation=off"))? < size - (1 << 20));
    Ok(())
}

/// What `info` says of a version 3 image, with these values in place of the usual ones.
fn data(changes: &[(&str, Value)]) -> Value {
    let mut data = json!({
        "compat": "1.1",
        "lazy-refcounts": false,
        "refcount-bits": 16,
        "corrupt": false,
        "extended-l2": false,
        "compression-type": "zlib",
    });
    for (key, value) in changes {
        data[*key] = value.clone();
    }
    data
}

/// The keys of `all` that `wanted` has.
fn subset(all: &Value, wanted: &Value) -> Value {
    let keys = wanted.as_object().into_iter().flatten().map(|(key, _)| key);
    keys.map(|key| (key.clone(), all[key].clone())).collect::<serde_json::Map<_, _>>().into()
}

/// The backing file of images that have one.
const BASE: &str = "base.qcow2";
