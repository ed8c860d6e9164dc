//! What fuzzing has found, and every file of `testdata/` that breaks a rule or means harm, does none; and what is valid
//! keeps the contracts of readers. The images are packed, so that the kit's own walk over folders does not see them.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imgfmt_core::conformance::{Kit, check_image, check_truncations, read_all, survive};
use imgfmt_core::{Format, Image};
use imgfmt_vhdx::Vhdx;
use support::{bytes_of, open, storage};

/// The images on a shelf.
fn shelf(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vhdx").join(name);
    let entries = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_file() && path.file_name().is_some_and(|name| name != ".gitkeep")).collect()
}

#[test]
fn no_file_that_means_harm_does_any() {
    let files: Vec<_> = ["regression", "malformed", "hostile"].into_iter().flat_map(shelf).collect();
    for path in &files {
        let bytes = bytes_of(path).unwrap();
        let start = Instant::now();
        survive(&Vhdx, &bytes);
        assert!(start.elapsed() < Duration::from_secs(10), "{} takes too long", path.display());
    }
    assert!(files.len() > 50, "there are only {} files", files.len());
}

#[test]
fn valid_images_keep_the_contracts() {
    let kit = Kit { format: &Vhdx, samples: None, variants: &[], size_is_stored: true };
    let files = shelf("valid");
    for path in &files {
        let name = path.display().to_string();
        let alone = !name.contains("diff-") || name.contains("diff-base");
        let disk = open(storage(path).unwrap(), path, !alone).unwrap();
        check_image(&disk, None, &name);
        if ["dynamic", "log-grows", "last-block-short"].iter().any(|part| name.contains(part)) {
            check_truncations(&kit, &bytes_of(path).unwrap(), &read_all(&disk), &name);
        }
        assert_eq!(disk.describe().format, Vhdx.name());
    }
    assert!(files.len() > 25, "there are only {} files", files.len());
}
