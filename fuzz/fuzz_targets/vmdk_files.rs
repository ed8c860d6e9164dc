//! A vmdk descriptor, or a child, with the extent or parent that it names behind it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::open_beside(&imgfmt_vmdk::Vmdk, bytes, b"KDMV"));
