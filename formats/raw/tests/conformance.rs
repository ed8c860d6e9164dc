//! Raw keeps the contracts of the core.

use imgfmt_core::conformance::{Kit, Variant, check};
use imgfmt_raw::Raw;

#[test]
fn raw_keeps_the_contracts() {
    let variants = ["", "preallocation=falloc", "preallocation=full"].map(Variant::new);
    check(&Kit { format: &Raw, samples: None, variants: &variants, size_is_stored: false });
}
