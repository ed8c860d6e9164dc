//! Files that break rules or mean harm, and those that fuzzing has found, do none.

use std::path::Path;
use std::time::{Duration, Instant};

use super::survive;
use crate::format::Format;

/// Does what a service does with an upload with every file of the shelves `regression`, `malformed` and
/// `hostile` below `testdata`, within bounds of time and memory.
///
/// Memory is that of the whole process, so nothing else may run in it at the same time.
///
/// # Panics
///
/// Where a file takes more than the bounds, or there is no file at all.
pub fn check_harm(format: &dyn Format, testdata: &Path) {
    let before = peak_memory();
    let mut files = 0;
    for shelf in ["regression", "malformed", "hostile"] {
        let Ok(folder) = testdata.join(shelf).read_dir() else { continue };
        for path in folder.flatten().map(|entry| entry.path()) {
            let Ok(bytes) = std::fs::read(&path) else { continue };
            files += 1;
            let start = Instant::now();
            survive(format, &bytes);
            assert!(start.elapsed() < MAX_TIME, "{} takes too long", path.display());
            let taken = peak_memory().saturating_sub(before);
            assert!(taken <= MAX_MEMORY, "{} took {taken} KiB of memory", path.display());
        }
    }
    assert!(files > 0, "{} has no files", testdata.display());
}

/// The most memory that this process has held, in KiB; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Memory that a reader may take, whatever the file says, in KiB.
const MAX_MEMORY: u64 = 64 << 10;
/// Time that a reader may take, on a machine that does other things too.
const MAX_TIME: Duration = Duration::from_secs(20);
