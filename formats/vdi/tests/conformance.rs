//! Vdi keeps the contracts of the core.

use std::path::Path;

use imgfmt_core::conformance::{Kit, check};
use imgfmt_vdi::Vdi;

#[test]
fn vdi_keeps_the_contracts() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vdi/valid");
    check(&Kit { format: &Vdi, samples: Some(&samples), variants: &[], size_is_stored: true });
}
