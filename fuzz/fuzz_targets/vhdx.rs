//! No bytes hurt the reader of vhdx: as they are, and as changes to a file that is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    imgfmt_fuzz::open_and_read_everything(&imgfmt_vhdx::Vhdx, bytes);
    imgfmt_fuzz::open_and_read_everything(&imgfmt_vhdx::Vhdx, &imgfmt_fuzz::vhdx_from(bytes));
});
