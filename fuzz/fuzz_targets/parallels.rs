//! No bytes hurt the reader of Parallels images, and a repair loses nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    imgfmt_fuzz::open_and_read_everything(&imgfmt_parallels::Parallels, bytes);
    imgfmt_fuzz::check_and_repair(&imgfmt_parallels::Parallels, bytes);
});
