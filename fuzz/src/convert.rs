//! The engine and plain reads must see the same disk.

use std::num::NonZeroUsize;
use std::sync::Arc;

use imgfmt_core::convert::Convert;
use imgfmt_core::{
    CreateRequest, DenyAll, Format, Image, Limits, MemoryStorage, MemoryTarget, OpenContext, Options, Result,
};
use imgfmt_qcow2::Qcow2;
use imgfmt_raw::Raw;

/// Converts `image` to raw or, if it is to `compress`, to qcow2 and back; compares with what can be read.
///
/// # Panics
///
/// Where only one of the two fails, or they give different bytes.
pub fn converts_as_it_reads(image: &dyn Image, compress: bool) {
    if image.size() > MAX_SIZE {
        return;
    }
    let mut read = vec![0xa5; usize::try_from(image.size()).expect("the disk is small")];
    let readable = image.read_at(&mut read, 0);
    let converted = if compress { through(&Qcow2, image, true) } else { through(&Raw, image, false) };
    match (readable, converted) {
        (Ok(()), Ok(bytes)) => assert!(bytes[..read.len()] == read, "the conversion gives other bytes"),
        (Err(_), Err(_)) => {}
        (Ok(()), Err(error)) => panic!("it can be read and not converted: {error:?}"),
        (Err(error), Ok(_)) => panic!("it can be converted and not read: {error:?}"),
    }
}

/// The disk after it has been written as `format`, and read again.
fn through(format: &dyn Format, image: &dyn Image, compress: bool) -> Result<Vec<u8>> {
    let target = Arc::new(MemoryTarget::new());
    let options = Options::default();
    let size = image.size();
    let request = CreateRequest { compress, ..CreateRequest::new(size, &options) };
    let convert = Convert { threads: NonZeroUsize::MIN, ..Convert::default() };
    convert.run(image, format.create(target.clone(), &request)?)?;
    let limits = Limits::default();
    let context = OpenContext::new(&limits, &DenyAll);
    let written = format.open(Arc::new(MemoryStorage::new(target.to_vec())), &context);
    let written = written.expect("what was written opens").image;
    let mut bytes = vec![0xa5; usize::try_from(written.size()).expect("the disk is small")];
    written.read_at(&mut bytes, 0).expect("what was written can be read");
    Ok(bytes)
}

/// Largest disk that is converted, in bytes.
const MAX_SIZE: u64 = 2 << 20;
