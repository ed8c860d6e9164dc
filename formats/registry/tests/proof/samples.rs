//! Every valid image of the repository converts to its content, by name and by what it shows.

use std::path::Path;

use imgfmt::conformance::Sample;
use imgfmt::{Access, Beneath, ConvertRequest, FORMATS, Options, Secrets, WRAPPERS};

use super::support::Outcome;
use super::support::compare::{hash, open};
use super::support::say::whole_message;

#[test]
fn every_valid_sample_converts_to_its_content() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (mut seen, mut wrong) = (0, Vec::new());
    let names = FORMATS.iter().map(|format| format.name()).chain(WRAPPERS.iter().map(|wrapper| wrapper.name()));
    for name in names.chain(["compressed"]) {
        for sample in Sample::all(env!("CARGO_MANIFEST_DIR"), name).unwrap_or_default() {
            if sample.entry["outcome"] == "content" && sample.path.components().any(|part| part.as_os_str() == "valid")
            {
                seen += 1;
                let outcome = converts(&sample, name, folder.path());
                wrong.extend(outcome.err().map(|e| format!("{}: {e}", sample.path.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen > 300, "there are {seen} samples");
    Ok(())
}

/// Converts a sample to raw, and compares the content with what the manifest says.
fn converts(sample: &Sample, name: &str, folder: &Path) -> Outcome {
    // What a packed file names is packed, too, under another name.
    if sample.entry["packed"] == "gzip" && sample.entry["needs_gate"] == true {
        return Ok(());
    }
    let (mut gate, mut options, mut secrets) = (Beneath::new(), Options::new(), Secrets::new());
    gate.allow_beside(&sample.path)?;
    if let Some(secret) = sample.entry["secret"].as_str() {
        secrets.add("sec0", secret);
        // qcow2 images know this name, too.
        options.set("key-secret", "sec0");
    }
    let target = folder.join("out.raw");
    let mut request = ConvertRequest::new(&sample.path, &target, "raw");
    // Raw is what has no other name; the rest shows what it is.
    request.sources.iter_mut().for_each(|source| source.format = (name == "raw").then(|| name.to_owned()));
    request.access = Access { gate: &gate, options: &options, secrets: &secrets, ..Access::default() };
    imgfmt::convert(&request).map_err(|e| whole_message(&e))?;
    let (size, found) = hash(&open(&target, Some("raw"))?)?;
    let right = sample.entry["guest_size"] == size && sample.entry["guest_sha256"] == found;
    if right { Ok(()) } else { Err(format!("{size} bytes, {found}").into()) }
}
