//! Vmdk keeps the contracts of the core.

use std::path::Path;

use imgfmt_core::conformance::{Kit, check};
use imgfmt_vmdk::Vmdk;

#[test]
fn vmdk_keeps_the_contracts() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vmdk/valid");
    check(&Kit { format: &Vmdk, samples: Some(&samples), variants: &[], size_is_stored: true });
}
