//! qcow2 keeps the contracts of the core.

use std::path::Path;

use imgfmt_core::conformance::{Kit, Variant, check};
use imgfmt_qcow2::Qcow2;

#[test]
fn qcow2_keeps_the_contracts() {
    // Random options are for the properties.
    let plain = ["", "compat=0.10", "cluster_size=512", "extended_l2=on,cluster_size=16k"];
    let compressed = ["", "compression_type=zstd", "cluster_size=512,refcount_bits=1", "extended_l2=on"];
    let backed = ["", "extended_l2=on,preallocation=metadata"];
    let preallocated = ["preallocation=falloc,cluster_size=8k", "preallocation=full"];
    let variant = |options| Variant { sector_len: 512, ..Variant::new(options) };
    let variants: Vec<Variant<'_>> = [
        plain.map(variant).to_vec(),
        compressed.map(|options| Variant { compress: true, ..variant(options) }).to_vec(),
        backed.map(|options| Variant { backed: true, ..variant(options) }).to_vec(),
        preallocated.map(variant).to_vec(),
    ]
    .concat();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/qcow2/valid");
    check(&Kit { format: &Qcow2, samples: Some(&samples), variants: &variants, size_is_stored: true });
}
