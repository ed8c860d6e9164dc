//! What fuzzing has found, every file of `testdata/` that breaks a rule or means harm, and files of very many members take
//! neither long nor much memory.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgfmt_compressed::{Bzip2, Gzip, Xz, Zstd};
use imgfmt_core::{DenyAll, Limits, MemoryStorage, OpenContext, Storage, Streamed, Wrapper};

#[test]
fn no_file_that_means_harm_does_any() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/compressed");
    let before = peak_memory();
    let mut files = 0;
    for shelf in ["regression", "malformed", "hostile"] {
        for entry in testdata.join(shelf).read_dir().unwrap() {
            let path = entry.unwrap().path();
            let start = Instant::now();
            unpack_all(&std::fs::read(&path).unwrap());
            assert!(start.elapsed() < Duration::from_secs(20), "{} takes too long", path.display());
            assert!(peak_memory() - before <= 64 << 10, "{} takes too much memory", path.display());
            files += 1;
        }
    }
    assert!(files > 20, "there are {files} files");
    let empty_member = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0\0";
    let empty_frame = b"\x28\xb5\x2f\xfd\x20\0\x01\0\0";
    for (what, member) in
        [("BGZF", &empty_member[..]), ("zstd", empty_frame), ("skippable", b"\x50\x2a\x4d\x18\0\0\0\0")]
    {
        let start = Instant::now();
        unpack_all(&member.repeat(100_000));
        assert!(start.elapsed() < Duration::from_secs(20), "many members of {what} take too long");
    }
    assert!(peak_memory() - before <= 64 << 10, "many members take too much memory");
}

/// Does with `bytes` what a service does with an upload.
fn unpack_all(bytes: &[u8]) {
    let mut limits = Limits::default();
    limits.spool_bytes = 16 << 20;
    let folder = std::env::temp_dir();
    let context = OpenContext { spool: Some(&folder), ..OpenContext::new(&limits, &DenyAll) };
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(bytes));
    for wrapper in [&Gzip as &dyn Wrapper, &Xz, &Zstd, &Bzip2] {
        if let Ok(opened) = wrapper.open(&storage, 0, &context) {
            let len = opened.len().min(1 << 16);
            let _ = opened.read_at(&mut vec![0; usize::try_from(len).unwrap_or(0)], opened.len() - len);
        }
        if let Ok(Streamed::OnePass(reader)) = wrapper.stream(Box::new(std::io::Cursor::new(bytes.to_vec())), &context)
        {
            let _ = std::io::copy(&mut reader.take(limits.spool_bytes), &mut std::io::sink());
        }
    }
}

/// The most memory that this process has held, in KiB; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
