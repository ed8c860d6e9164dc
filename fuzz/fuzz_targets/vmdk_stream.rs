//! No bytes hurt the reader of streams of vmdk, and what is no stream comes back whole.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::stream_everything(&imgfmt_vmdk::Vmdk, bytes));
