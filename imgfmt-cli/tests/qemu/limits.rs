//! The limits under which services look at images that nobody trusts.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::desk::{Desk, Ran, words};

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn every_sample_is_described_or_refused_within_the_limits_of_glance() {
    let mut samples = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata"), &mut samples);
    assert!(samples.len() > 50);
    let desk = Desk::new();
    for sample in samples {
        let mut command = desk.command("prlimit", "--as=1073741824 --cpu=2");
        let ran = command.arg(desk.program()).args(words("info --output=json")).arg(&sample).output().unwrap();
        // Names are printed as they are, so the output is not always text.
        let code = ran.status.code();
        assert!(matches!(code, Some(0 | 1)), "{}: {:?}", sample.display(), ran.status);
        assert_eq!(
            code == Some(0),
            ran.stderr.is_empty(),
            "{}: {}",
            sample.display(),
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}

#[test]
fn a_description_is_quick() {
    let desk = Desk::new();
    desk.disk("raw", 1 << 20, &[0]);
    desk.ok("convert -f raw -O qcow2 raw img");
    let quickest = (0..20).map(|_| {
        let started = Instant::now();
        desk.ok("info --output=json img");
        started.elapsed()
    });
    // 3 ms in a release build on an idle machine; this one is neither.
    assert!(quickest.min().unwrap().as_millis() < 50);
}

#[test]
fn conversions_run_within_the_limits_of_conductors() {
    let desk = Desk::new();
    desk.disk("raw", 8 << 20, &[0, 1 << 20, 5 << 20]);
    let mut command = desk.command("prlimit", "--as=1073741824 --cpu=30");
    let ran = Ran::from(command.arg(desk.program()).args(words("convert -c -O qcow2 raw img")).output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}
