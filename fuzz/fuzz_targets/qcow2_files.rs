//! A qcow2 image with its backing file behind it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::open_beside(&imgfmt_qcow2::Qcow2, bytes, b"QFI\xfb"));
