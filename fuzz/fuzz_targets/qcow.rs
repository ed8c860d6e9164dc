//! No bytes hurt the reader of qcow, version 1.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::open_and_read_everything(&imgfmt_qcow::Qcow, bytes));
