//! What fuzzing has found, and every file of `testdata/` that breaks a rule or means harm, does none.

use std::path::Path;

use imgfmt_core::conformance::check_harm;
use imgfmt_parallels::Parallels;

#[test]
fn no_file_that_means_harm_does_any() {
    check_harm(&Parallels, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/parallels"));
}
