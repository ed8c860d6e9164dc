//! VHDX keeps the contracts of the core.

use imgfmt_core::conformance::{Kit, Variant, check};
use imgfmt_vhdx::Vhdx;

#[test]
fn vhdx_keeps_the_contracts() {
    let variants = [
        "block_size=1M",
        "block_state_zero=on,log_size=2M",
        "subformat=fixed,block_size=1M",
        "logical_sector_size=4096,block_size=1M",
    ];
    let options = variants.map(|options| format!("{options},guid=b5c7a4d2-50b4-4c6e-9d3b-3b1f0c9d2a11"));
    let variants: Vec<Variant<'_>> = options
        .iter()
        .map(|options| {
            let sector_len = if options.contains("4096") { 4096 } else { 512 };
            Variant { sector_len, ..Variant::new(options) }
        })
        .collect();
    check(&Kit { format: &Vhdx, samples: None, variants: &variants, size_is_stored: true });
}
