//! Parallels keeps the contracts of the core.

use std::path::Path;

use imgfmt_core::conformance::{Kit, Variant, check};
use imgfmt_parallels::Parallels;

#[test]
fn parallels_keeps_the_contracts() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/parallels/valid");
    let variants = ["", "cluster_size=3072"].map(|options| Variant { sector_len: 512, ..Variant::new(options) });
    check(&Kit { format: &Parallels, samples: Some(&samples), variants: &variants, size_is_stored: true });
}
