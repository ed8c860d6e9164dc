//! What fuzzing has found, and every file of `testdata/` that breaks a rule or means harm, does none.

use std::path::Path;
use std::time::Instant;

use imgfmt_core::conformance::survive;
use imgfmt_vmdk::Vmdk;

#[test]
fn no_file_that_means_harm_does_any() {
    let before = peak_memory();
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vmdk");
    for shelf in ["regression", "malformed", "hostile"] {
        let folder = testdata.join(shelf).read_dir().unwrap();
        for path in folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            let start = Instant::now();
            survive(&Vmdk, &std::fs::read(&path).unwrap());
            assert!(start.elapsed().as_secs() < MAX_SECONDS, "{} takes too long", path.display());
            let taken = peak_memory().saturating_sub(before);
            assert!(taken <= MAX_MEMORY, "{} took {taken} KiB of memory", path.display());
        }
    }
}

/// The most memory that this process has held, in KiB; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Memory that a reader may take, whatever the file says, in KiB.
const MAX_MEMORY: u64 = 64 << 10;
/// Seconds that a reader may take, on a machine that does other things too.
const MAX_SECONDS: u64 = 20;
