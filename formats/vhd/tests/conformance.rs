//! Vhd keeps the contracts of the core.

use std::path::Path;

use imgfmt_core::conformance::{Kit, Variant, check};
use imgfmt_vhd::Vhd;

#[test]
fn vhd_keeps_the_contracts() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vhd/valid");
    let exact = |options| Variant { sector_len: 512, ..Variant::new(options) };
    let variants = [
        exact("uuid=00112233-4455-6677-8899-aabbccddeeff,timestamp=1000000000"),
        exact("uuid=00112233-4455-6677-8899-aabbccddeeff,timestamp=1000000000,block_size=512k"),
        exact("uuid=00112233-4455-6677-8899-aabbccddeeff,timestamp=1000000000,subformat=fixed"),
        Variant {
            sector_len: 1 << 20,
            ..exact("uuid=00112233-4455-6677-8899-aabbccddeeff,timestamp=1000000000,subformat=fixed,align=1M")
        },
    ];
    check(&Kit { format: &Vhd, samples: Some(&samples), variants: &variants, size_is_stored: true });
}
