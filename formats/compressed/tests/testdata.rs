//! Every compressed file of the repository's test data gives the bytes, or the error, that its manifest says.

use imgfmt_compressed::{Bzip2, Gzip, Xz, Zstd};
use imgfmt_core::conformance::check_testdata;

#[test]
fn every_file_is_what_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "compressed", |sample| sample.unwrap(&[&Gzip, &Xz, &Zstd, &Bzip2]));
}
