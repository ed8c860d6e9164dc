//! Any disk is written as vhdx, and reads back.
#![no_main]

libfuzzer_sys::fuzz_target!(|writing: imgfmt_fuzz::Writing| writing.check_among(&imgfmt_vhdx::Vhdx, CHOICES));

/// Options of vhdx.
const CHOICES: &[&[&str]] = &[
    &["guid=b5c7a4d2-50b4-4c6e-9d3b-3b1f0c9d2a11,block_size=1M"],
    &["", "subformat=fixed"],
    &["", "block_state_zero=on"],
    &["", "log_size=2M", "physical_sector_size=512"],
];
