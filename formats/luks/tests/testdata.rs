//! Every LUKS container of the repository's test data gives the bytes, or the error, that its manifest says; and none does harm.

use std::path::Path;

use imgfmt_core::conformance::{check_harm, check_testdata, content_of};
use imgfmt_core::{DenyAll, Format, Limits, OpenContext, Options, Secrets};
use imgfmt_luks::Luks;

#[test]
fn every_container_is_what_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "luks", |sample| {
        let (mut options, mut secrets) = (Options::new(), Secrets::new());
        options.set("key-secret", "sec0");
        secrets.add("sec0", sample.entry["secret"].as_str().unwrap_or_default());
        let limits = Limits::default();
        let context = OpenContext { options: &options, secrets: &secrets, ..OpenContext::new(&limits, &DenyAll) };
        content_of(Luks.open(sample.storage()?, &context)?.image.as_ref())
    });
}

#[test]
fn no_container_that_means_harm_does_any() {
    check_harm(&Luks, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/luks"));
}
