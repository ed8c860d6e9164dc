//! No bytes hurt the reader of vhd.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::open_and_read_everything(&imgfmt_vhd::Vhd, bytes));
