//! A differencing disk with its parent beside it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::open_vhdx_beside_parent(bytes));
