//! No disk hurts those who look at what lies on it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::look_inside(bytes));
