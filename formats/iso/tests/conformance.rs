//! Iso keeps the contracts of the core.

use std::path::Path;

use imgfmt_core::conformance::{Kit, check};
use imgfmt_iso::Iso;

#[test]
fn iso_keeps_the_contracts() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/iso/valid");
    check(&Kit { format: &Iso, samples: Some(&samples), variants: &[], size_is_stored: true });
}
