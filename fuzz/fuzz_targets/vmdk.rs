//! No bytes hurt the reader of vmdk, neither a sparse extent nor a descriptor.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::open_and_read_everything(&imgfmt_vmdk::Vmdk, bytes));
