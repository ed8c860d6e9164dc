//! Damage is found, told by its name, and mended where it can be.

#[cfg(test)]
#[path = "../sparse/build.rs"]
#[expect(dead_code, reason = "it is for other tests, too")]
mod build;
#[cfg(test)]
mod chance;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
#[path = "../edit/images.rs"]
#[expect(dead_code, reason = "it is for other tests, too")]
mod images;
#[cfg(test)]
mod known;
#[cfg(test)]
mod several;
#[cfg(test)]
mod streams;

use std::path::Path;

use imgfmt_core::conformance::{Edited, Files};
use imgfmt_core::{CheckStats, Findings, Options, Repair, Result, Secrets};
use imgfmt_vmdk::Vmdk;

/// Checks the image called `name` in `files`.
fn check(files: &Files, name: &str, repair: Option<Repair>) -> Result<(Findings, CheckStats)> {
    let (options, secrets) = (Options::new(), Secrets::new());
    let edited = Edited {
        format: &Vmdk,
        files: &[],
        name,
        options: &options,
        secrets: &secrets,
        size_unit: 512,
        shrinks: false,
    };
    edited.check(files, repair)
}

/// All files of a folder of test data.
fn folder(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vmdk").join(name);
    let entries = folder.read_dir().expect("the test data is there").flatten();
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file")))
        .collect();
    files.sort();
    files
}
