//! Disks of 64 TiB open in no time and little memory, whatever their tables take.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgfmt_core::{Admitted, Reference, Result};
use imgfmt_core::{DenyAll, FileStorage, Format, Gate, Limits, MemoryStorage, OpenContext, Opened};
use imgfmt_vmdk::Vmdk;

/// Guest bytes.
const SIZE: u64 = 64 << 40;

/// Admits the one file that there is.
struct Only(std::path::PathBuf);

impl Gate for Only {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        Ok(Admitted { storage: Arc::new(FileStorage::open(&self.0)?), path: reference.name.into() })
    }

    fn beside(&self, _image: &std::path::Path) -> Result<Vec<std::path::PathBuf>> {
        Ok(Vec::new())
    }
}

/// Opens `file` some times and checks that the fastest is fast.
fn opened(open: impl Fn() -> Result<Opened>) -> Opened {
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        open().unwrap();
        fastest = fastest.min(start.elapsed());
    }
    assert!(fastest < Duration::from_millis(20), "{fastest:?}");
    open().unwrap()
}

#[test]
fn a_space_efficient_extent_is_read_in_pages() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let directory = SIZE / (16 << 20) * 8 / 512;
    let mut header = vec![0; 1024];
    let mut put = |at: usize, value: u64| header[at..at + 8].copy_from_slice(&value.to_le_bytes());
    let tables_at = 2 + directory;
    for (at, value) in [
        (0, 0xcafe_babe),
        (8, 0x2_0000_0001),
        (16, SIZE / 512),
        (24, 8),
        (32, 64),
        (80, 1),
        (128, 2),
        (136, directory),
        (144, tables_at),
        (152, 64),
        (192, tables_at + 64),
        (512, 0xcafe_cafe),
    ] {
        put(at, value);
    }
    file.write_all(&header).unwrap();
    // One grain, the last of the disk.
    let file_at = |bytes: &[u8], at: u64| file.as_file().write_all_at(bytes, at).unwrap();
    file_at(&(1_u64 << 60).to_le_bytes(), (2 + directory) * 512 - 8);
    file_at(&(3_u64 << 60).to_le_bytes(), (tables_at + 64) * 512 - 8);
    file_at(&[7; 4096], (tables_at + 64) * 512);
    let text = super::build::descriptor("seSparse", usize::try_from(SIZE / 512).unwrap(), "SESPARSE", "x", 1, None);
    let (limits, gate) = (Limits::default(), Only(file.path().to_owned()));
    let descriptor = Arc::new(MemoryStorage::new(text));
    let opened = opened(|| Vmdk.open(Arc::clone(&descriptor) as _, &OpenContext::new(&limits, &gate)));
    let mut bytes = [0; 8192];
    opened.image.read_at(&mut bytes, SIZE - 8192).unwrap();
    assert!(bytes[..4096].iter().all(|&byte| byte == 0) && bytes[4096..].iter().all(|&byte| byte == 7));
}

#[test]
fn a_hosted_extent_is_read_in_pages_and_mended_in_pages() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let tables = SIZE / (32 << 20);
    let (rgd, gd) = (21_u64, 21 + tables * 4 / 512);
    let table_at = gd + tables * 4 / 512;
    let mut header = vec![0; 512];
    header[..12].copy_from_slice(b"KDMV\x01\0\0\0\x03\0\0\0");
    let mut put = |at: usize, value: u64| header[at..at + 8].copy_from_slice(&value.to_le_bytes());
    for (at, value) in [(12, SIZE / 512), (20, 128), (48, rgd), (56, gd)] {
        put(at, value);
    }
    header[44..48].copy_from_slice(&512_u32.to_le_bytes());
    header[73..77].copy_from_slice(b"\n \r\n");
    let file_at = |bytes: &[u8], at: u64| file.as_file().write_all_at(bytes, at).unwrap();
    file_at(&header, 0);
    // The last table is the only one. The first directory has lost it; the redundant one has not.
    let entry = u32::try_from(table_at).unwrap().to_le_bytes();
    file_at(&entry, rgd * 512 + (tables - 1) * 4);
    file_at(&u32::MAX.to_le_bytes(), gd * 512 + (tables - 1) * 4);
    file_at(&u32::try_from(table_at + 4).unwrap().to_le_bytes(), table_at * 512 + 511 * 4);
    file_at(&[9; 65_536], (table_at + 4) * 512);
    let limits = Limits::default();
    let open = || {
        let storage = Arc::new(FileStorage::open(file.path())?);
        Vmdk.open(storage, &OpenContext::new(&limits, &DenyAll))
    };
    let opened = opened(open);
    let mut bytes = [0; 4096];
    opened.image.read_at(&mut bytes, SIZE - 4096).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 9));
    let mut middle = [1; 4096];
    opened.image.read_at(&mut middle, SIZE / 2).unwrap();
    assert!(middle.iter().all(|&byte| byte == 0));
}
