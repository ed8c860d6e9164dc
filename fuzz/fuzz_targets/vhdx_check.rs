//! A repair of VHDX images loses nothing, and edits of any bytes hurt nobody.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = imgfmt_fuzz::vhdx_from(bytes);
    imgfmt_fuzz::check_and_repair(&imgfmt_vhdx::Vhdx, &file);
    imgfmt_fuzz::edit_a_little(&imgfmt_vhdx::Vhdx, &file);
});
