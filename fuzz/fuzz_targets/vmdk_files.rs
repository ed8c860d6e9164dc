//! A vmdk descriptor, or a child, with the extent or parent that it names behind it, of any kind.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for magic in [b"KDMV".as_slice(), b"COWD", b"\xbe\xba\xfe\xca\0\0\0\0"] {
        imgfmt_fuzz::open_beside(&imgfmt_vmdk::Vmdk, bytes, magic);
    }
});
