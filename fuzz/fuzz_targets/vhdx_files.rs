//! A differencing disk with its parent behind it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    imgfmt_fuzz::open_beside(&imgfmt_vhdx::Vhdx, &imgfmt_fuzz::vhdx_from(bytes, true), b"vhdxfile");
});
