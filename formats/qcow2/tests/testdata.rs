//! Every qcow2 image of `testdata/` reads, or is refused, as its manifest says.

use std::sync::Arc;

use imgfmt_core::conformance::{Plain, Sample, check_testdata, content_of, whole_message};
use imgfmt_core::{
    DenyAll, ErrorKind, Format, Image, Layer, Limits, OpenContext, Opener, Options, Result, Secrets, Storage,
};
use imgfmt_qcow2::Qcow2;
use serde_json::{Value, json};

#[test]
fn every_image_reads_or_is_refused_as_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "qcow2", |sample| match text(&sample.entry, "secret") {
        Some(secret) => content_of(open_with_secret(sample.storage()?, secret)?.as_ref()),
        None => sample.read(&[&Qcow2, &Plain], Some("qcow2")),
    });
}

#[test]
fn every_snapshot_reads_as_its_manifest_says() {
    let mut seen = 0;
    for sample in samples() {
        let (entry, path) = (&sample.entry, &sample.path);
        let Some(snapshots) = entry["snapshots"].as_object() else { continue };
        for (name, facts) in snapshots {
            let layers = open_layers(&sample, Some(name)).unwrap();
            let image = layers[0].image.as_ref();
            assert_eq!(Some(image.size()), facts["guest_size"].as_u64(), "{}: {name}", path.display());
            assert_eq!(
                Some(content_of(image).unwrap().1.as_str()),
                text(facts, "guest_sha256"),
                "{}: {name}",
                path.display()
            );
            assert!(layers[0].bitmaps.is_empty(), "bitmaps are of the active state");
            seen += 1;
        }
        let error = open_layers(&sample, Some("gone")).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let known = snapshots.keys().filter(|name| name.parse::<u32>().is_err());
        assert!(known.into_iter().all(|name| whole_message(&error).contains(name)), "{}", whole_message(&error));
    }
    assert!(seen > 3, "the manifest has {seen} snapshots");
}

#[test]
fn every_bitmap_is_as_its_manifest_says() {
    let mut seen = 0;
    for sample in samples() {
        let (entry, path) = (&sample.entry, &sample.path);
        let Some(expected) = entry["bitmaps"].as_object() else { continue };
        let layers = open_layers(&sample, None).unwrap();
        let names: Vec<_> = layers[0].bitmaps.iter().map(|bitmap| bitmap.info().name.clone()).collect();
        assert_eq!(names.len(), expected.len(), "{}: {names:?}", path.display());
        for bitmap in &layers[0].bitmaps {
            let info = bitmap.info();
            let facts = &expected[&info.name];
            assert_eq!(Some(info.granularity), facts["granularity"].as_u64(), "{}", info.name);
            assert_eq!(
                (json!(info.enabled), json!(info.inconsistent)),
                (facts["enabled"].clone(), facts["inconsistent"].clone())
            );
            let mut dirty = Vec::new();
            let visited = bitmap.visit_dirty(&mut |run| {
                dirty.push(json!([run.start, run.end]));
                Ok(())
            });
            match text(facts, "error") {
                Some(kind) => assert_eq!(visited.unwrap_err().kind().name(), kind, "{}", info.name),
                None => {
                    assert_eq!((visited.unwrap(), Value::Array(dirty)), ((), facts["dirty"].clone()), "{}", info.name)
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 3, "the manifest has {seen} bitmaps");
}

/// All images.
fn samples() -> Vec<Sample> {
    Sample::all(env!("CARGO_MANIFEST_DIR"), "qcow2").unwrap_or_default()
}

/// Opens the layers of an image, the first of them at `snapshot`.
fn open_layers(sample: &Sample, snapshot: Option<&str>) -> Result<Vec<Layer>> {
    let (gate, limits) = (sample.gate()?, Limits::default());
    let formats: [&dyn Format; 2] = [&Qcow2, &Plain];
    let opener = Opener::new(&formats, gate.as_ref(), &limits);
    let context = OpenContext { snapshot, ..opener.context };
    Opener { context, ..opener }.open_layers(sample.storage()?, Some(&sample.path), Some("qcow2"))
}

/// Opens an encrypted image.
fn open_with_secret(storage: Arc<dyn Storage>, secret: &str) -> Result<Box<dyn Image>> {
    let (mut options, mut secrets, limits) = (Options::new(), Secrets::new(), Limits::default());
    options.set("encrypt.key-secret", "sec0");
    secrets.add("sec0", secret);
    let context = OpenContext { options: &options, secrets: &secrets, ..OpenContext::new(&limits, &DenyAll) };
    Ok(Qcow2.open(storage, &context)?.image)
}

/// Text in a manifest.
fn text<'a>(entry: &'a Value, key: &str) -> Option<&'a str> {
    entry.get(key)?.as_str()
}
