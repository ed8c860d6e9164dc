//! Any bytes at all are a raw image.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = std::hint::black_box(bytes.len());
});
