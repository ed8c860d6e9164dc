//! The streams of the repository's test data.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{DenyAll, ErrorKind, Format, Limits, MemoryStorage, OpenContext, Result, Streamed};
use imgfmt_vmdk::Vmdk;

use crate::{collect, stream};

/// The disk in `bytes`, read as from a file; `None` where it builds on another.
fn from_file(bytes: &[u8]) -> Option<Result<Vec<u8>>> {
    let opened = Vmdk.open(Arc::new(MemoryStorage::new(bytes)), &OpenContext::new(&Limits::default(), &DenyAll));
    match opened {
        Ok(opened) if opened.parent.is_some() => None,
        Ok(opened) => {
            let mut disk = vec![0; usize::try_from(opened.image.size()).ok().filter(|&size| size < 100 << 20)?];
            Some(opened.image.read_at(&mut disk, 0).map(|()| disk))
        }
        Err(error) => Some(Err(error)),
    }
}

#[test]
fn a_stream_is_the_disk_that_the_file_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vmdk");
    let mut one_pass = 0;
    for shelf in ["valid", "malformed", "hostile"] {
        let Ok(entries) = folder.join(shelf).read_dir() else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let name = path.display();
            let mut opened = match stream(&bytes) {
                Ok(Streamed::OnePass(stream)) => stream,
                Ok(Streamed::NeedsSeek { mut input, .. }) => {
                    let mut back = Vec::new();
                    input.read_to_end(&mut back).unwrap();
                    assert!(back == bytes, "{name}: bytes are lost");
                    continue;
                }
                Err(_) => {
                    assert!(!matches!(from_file(&bytes), Some(Ok(_))), "{name}: refused, and the file is right");
                    continue;
                }
            };
            match (collect(opened.as_mut()), from_file(&bytes)) {
                (Ok(found), Some(Ok(disk))) => {
                    assert!(found == disk, "{name}: the bytes differ");
                    one_pass += 1;
                }
                (Err(error), Some(Ok(_))) => {
                    assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error}, and the file is right");
                }
                (Ok(_), other) => {
                    panic!(
                        "{name}: a stream is read, and the file is {:?}",
                        other.map(|disk| disk.map(|disk| disk.len()))
                    )
                }
                (Err(_), _) => {}
            }
        }
    }
    assert!(one_pass >= 21, "only {one_pass} in one pass");
}
