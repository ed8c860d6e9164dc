//! Vdi keeps the contracts of the core.

use std::path::Path;

use imgfmt_core::conformance::{Kit, Variant, check};
use imgfmt_vdi::Vdi;

#[test]
fn vdi_keeps_the_contracts() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vdi/valid");
    let ids = "uuid=00112233-4455-6677-8899-aabbccddeeff,modification_uuid=10112233-4455-6677-8899-aabbccddeeff";
    let fixed = format!("{ids},static=on");
    let variants = [ids, &fixed].map(|options| Variant { sector_len: 512, ..Variant::new(options) });
    check(&Kit { format: &Vdi, samples: Some(&samples), variants: &variants, size_is_stored: true });
}
