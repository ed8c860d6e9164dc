//! What the tests of compressed files share.

use std::io::{Cursor, Read, Write};
use std::sync::Arc;

use imgfmt_compressed::{Bzip2, Gzip, Xz, Zstd};
use imgfmt_core::{DenyAll, Error, Limits, MemoryStorage, OpenContext, Result, Storage, StorageExt, Streamed, Wrapper};

/// The wrappers under test.
pub(crate) const WRAPPERS: [&dyn Wrapper; 4] = [&Gzip, &Xz, &Zstd, &Bzip2];

/// One member of the kind that `wrapper` takes off.
pub(crate) fn pack(wrapper: &dyn Wrapper, content: &[u8]) -> Vec<u8> {
    match wrapper.name() {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        _ => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// All bytes that the packed file `bytes` holds, by way of a storage.
pub(crate) fn unpack(wrapper: &dyn Wrapper, bytes: &[u8]) -> Result<Vec<u8>> {
    let opened = open(wrapper, bytes, &Limits::default())?;
    opened.read_vec(0, usize::try_from(opened.len()).unwrap())
}

/// What the packed file `bytes` holds.
pub(crate) fn open(wrapper: &dyn Wrapper, bytes: &[u8], limits: &Limits) -> Result<Arc<dyn Storage>> {
    let folder = std::env::temp_dir();
    let context = OpenContext { spool: Some(&folder), ..OpenContext::new(limits, &DenyAll) };
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(bytes));
    let contents = wrapper.contents(&storage, &context)?;
    assert_eq!(contents.members.len(), 1);
    wrapper.open(&storage, 0, &context)
}

/// All bytes that the packed file `bytes` holds, in one pass.
pub(crate) fn stream(wrapper: &dyn Wrapper, bytes: &[u8]) -> Result<Vec<u8>> {
    let limits = Limits::default();
    let input = Box::new(Cursor::new(bytes.to_vec()));
    let Streamed::OnePass(mut reader) = wrapper.stream(input, &OpenContext::new(&limits, &DenyAll))? else {
        return Err(Error::unsupported("not in one pass"));
    };
    let mut content = Vec::new();
    reader.read_to_end(&mut content).map_err(Error::from_read)?;
    Ok(content)
}
