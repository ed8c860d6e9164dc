//! No bytes hurt the reader of Parallels images, a repair loses nothing, and edits of any bytes hurt nobody.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    imgfmt_fuzz::open_and_read_everything(&imgfmt_parallels::Parallels, bytes);
    imgfmt_fuzz::check_and_repair(&imgfmt_parallels::Parallels, bytes);
    imgfmt_fuzz::edit_a_little(&imgfmt_parallels::Parallels, bytes);
});
