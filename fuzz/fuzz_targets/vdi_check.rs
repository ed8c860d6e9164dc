//! A repair of VDI images loses nothing, and edits of any bytes hurt nobody.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    imgfmt_fuzz::check_and_repair(&imgfmt_vdi::Vdi, bytes);
    imgfmt_fuzz::edit_a_little(&imgfmt_vdi::Vdi, bytes);
});
