//! Any disk is written as VDI, and reads back.
#![no_main]

libfuzzer_sys::fuzz_target!(|writing: imgfmt_fuzz::Writing| writing.check_among(&imgfmt_vdi::Vdi, CHOICES));

/// Options of VDI.
const CHOICES: &[&[&str]] = &[
    &["uuid=00112233-4455-6677-8899-aabbccddeeff,modification_uuid=10112233-4455-6677-8899-aabbccddeeff"],
    &["", "static=on"],
];
