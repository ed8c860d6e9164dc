//! Snapshots and bitmaps of a qcow2 image, and what is said of it without its other files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::open_every_state(&imgfmt_qcow2::Qcow2, bytes));
