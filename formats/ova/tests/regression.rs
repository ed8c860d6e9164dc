//! What fuzzing has found, and every file of `testdata/` that breaks a rule or means harm, takes neither long nor much memory.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgfmt_core::{DenyAll, ErrorKind, Limits, MemoryStorage, OpenContext, Storage, Wrapper};
use imgfmt_ova::{Ova, Tar};

#[test]
fn no_file_that_means_harm_does_any() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/ova");
    let before = peak_memory();
    let mut files = 0;
    for shelf in ["regression", "malformed", "hostile"] {
        for entry in testdata.join(shelf).read_dir().unwrap() {
            let path = entry.unwrap().path();
            let start = Instant::now();
            unwrap_all(std::fs::read(&path).unwrap());
            assert!(start.elapsed() < Duration::from_secs(20), "{} takes too long", path.display());
            assert!(peak_memory() - before <= 64 << 10, "{} takes too much memory", path.display());
            files += 1;
        }
    }
    assert!(files > 30, "there are {files} files");
}

#[test]
fn what_is_compared_with_all_before_it_is_bounded() {
    let start = Instant::now();
    let attributes: String = (0..60_000).map(|i| format!(" a{i}=''")).collect();
    unwrap_all(format!("<Envelope xmlns='http://schemas.dmtf.org/ovf/envelope/1'{attributes}/>").into_bytes());
    let spaces: String = (0..40_000).map(|i| format!(" xmlns:a{i}='{i}'")).collect();
    unwrap_all(format!("<Envelope xmlns='http://schemas.dmtf.org/ovf/envelope/1'{spaces}/>").into_bytes());
    let records: String = (0..90_000).map(|i| format!("11 {i:06}=\n")).collect();
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(records.len() as u64);
    header.set_path("x").unwrap();
    header.set_cksum();
    unwrap_all([header.as_bytes(), records.as_bytes()].concat());
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_is_kept_of_all_members_is_bounded() {
    let mut archive = tar::Builder::new(Vec::new());
    for index in 0..20 {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        archive.append_data(&mut header, format!("{index:090}"), std::io::empty()).unwrap();
    }
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(archive.into_inner().unwrap()));
    let mut limits = Limits::default();
    let kind = |limits: &Limits| Tar.contents(&storage, &OpenContext::new(limits, &DenyAll)).err().map(|e| e.kind());
    assert_eq!(kind(&limits), None);
    limits.metadata_bytes = 1000;
    assert_eq!(kind(&limits), Some(ErrorKind::LimitExceeded));
}

/// Does with `bytes` what a service does with an upload.
fn unwrap_all(bytes: Vec<u8>) {
    let limits = Limits::default();
    let context = OpenContext::new(&limits, &DenyAll);
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(bytes));
    for wrapper in [&Ova as &dyn Wrapper, &Tar] {
        let members = wrapper.contents(&storage, &context).map_or(0, |contents| contents.members.len());
        for index in 0..members {
            let Ok(member) = wrapper.open(&storage, index, &context) else { continue };
            let len = usize::try_from(member.len().min(1 << 16)).unwrap_or(0);
            let _ = member.read_at(&mut vec![0; len], member.len() - len as u64);
        }
    }
}

/// The most memory that this process has held, in KiB; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
