//! Vmdk keeps the contracts of the core.

use std::path::Path;

use imgfmt_core::conformance::{Kit, Variant, check, check_writer, disks};
use imgfmt_vmdk::Vmdk;

#[test]
fn vmdk_keeps_the_contracts() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vmdk/valid");
    let variants = [
        variant("cid=1"),
        variant("cid=2,subformat=monolithicSparse,grain_size=8k,zeroed_grain=on"),
        variant("cid=3,grain_size=2M,adapter_type=pvscsi,hwversion=21,toolsversion=10240"),
        variant("cid=4,subformat=streamOptimized"),
        variant("cid=5,subformat=streamOptimized,grain_size=8k,compression_level=1,zeroed_grain=on"),
        Variant { compress: true, ..variant("cid=6,grain_size=1M,uuid=00112233445566778899aabbccddeeff") },
    ];
    let kit = Kit { format: &Vmdk, samples: Some(&samples), variants: &[], size_is_stored: true };
    check(&kit);
    for variant in &variants {
        // A disk of nothing cannot be a VMDK; that it is refused is tested where settings are.
        for disk in disks().iter().filter(|disk| !disk.bytes.is_empty()) {
            check_writer(&kit, variant, disk);
        }
    }
}

/// Images of one file with these options.
fn variant(options: &str) -> Variant<'_> {
    Variant { sector_len: 512, ..Variant::new(options) }
}
