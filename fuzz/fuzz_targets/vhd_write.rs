//! Any disk is written as vhd, and reads back.
#![no_main]

libfuzzer_sys::fuzz_target!(|writing: imgfmt_fuzz::Writing| writing.check_among(&imgfmt_vhd::Vhd, CHOICES));

/// Options of vhd; not all go together.
const CHOICES: &[&[&str]] =
    &[&["uuid=00112233-4455-6677-8899-aabbccddeeff,timestamp=1000000000"], &["", "block_size=512k", "subformat=fixed"]];
