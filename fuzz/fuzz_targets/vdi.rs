//! No bytes hurt the reader of VDI.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::open_and_read_everything(&imgfmt_vdi::Vdi, bytes));
