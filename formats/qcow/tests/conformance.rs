//! Qcow keeps the contracts of the core.

use std::path::Path;

use imgfmt_core::conformance::{Kit, check};
use imgfmt_qcow::Qcow;

#[test]
fn qcow_keeps_the_contracts() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/qcow/valid");
    check(&Kit { format: &Qcow, samples: Some(&samples), variants: &[], size_is_stored: true });
}
