//! Every raw image of the repository's test data gives the bytes, or the error, that its manifest says.

use std::sync::Arc;

use imgfmt_core::conformance::{check_testdata, content_of};
use imgfmt_core::{Beneath, Format, Limits, OpenContext};
use imgfmt_raw::Raw;

#[test]
fn every_image_is_what_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "raw", |sample| {
        // The parts of a split file are not named by it, but by its own name.
        let (mut gate, limits) = (Beneath::new(), Limits::default());
        gate.allow_beside(&sample.path)?;
        let context = OpenContext { path: Some(&sample.path), ..OpenContext::new(&limits, &gate) };
        content_of(Raw.open(Arc::clone(&sample.storage()?), &context)?.image.as_ref())
    });
}
