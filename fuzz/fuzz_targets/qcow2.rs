//! No bytes hurt the reader of qcow2.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::open_and_read_everything(&imgfmt_qcow2::Qcow2, bytes));
