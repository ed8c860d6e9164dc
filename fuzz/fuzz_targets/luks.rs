//! No bytes hurt the reader of LUKS headers. Without a secret nothing behind them is read.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgfmt_fuzz::open_and_read_everything(&imgfmt_luks::Luks, bytes));
