//! No bytes hurt the readers of appliances, descriptions and archives.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    imgfmt_fuzz::unwrap_everything(&imgfmt_ova::Ova, bytes);
    imgfmt_fuzz::unwrap_everything(&imgfmt_ova::Tar, bytes);
});
