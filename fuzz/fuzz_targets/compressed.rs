//! No bytes hurt what unpacks compressed files, and none get around its bounds.
#![no_main]

use imgfmt_compressed::{Bzip2, Gzip, Xz, Zstd};
use imgfmt_core::Wrapper;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for wrapper in [&Gzip as &dyn Wrapper, &Xz, &Zstd, &Bzip2] {
        imgfmt_fuzz::unwrap_everything(wrapper, bytes);
    }
});
