//! Every appliance and archive of the repository's test data gives the bytes, or the error, that its manifest says.

use imgfmt_core::conformance::{Content, Sample, bytes_of, check_testdata};
use imgfmt_core::{Error, Head, Limits, OpenContext, Result, Wrapper};
use imgfmt_ova::{Ova, Tar};

#[test]
fn every_file_is_what_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "ova", read);
}

/// The length and the hash of the one disk that a file holds.
fn read(sample: &Sample) -> Result<Content> {
    let file = sample.storage()?;
    let head = Head::read(file.as_ref())?;
    let wrappers: [&dyn Wrapper; 2] = [&Ova, &Tar];
    let mut claims = wrappers.into_iter().filter(|wrapper| wrapper.probe(&head).is_ok_and(|reason| reason.is_some()));
    let (Some(wrapper), None) = (claims.next(), claims.next()) else {
        return Err(Error::unsupported("it is not of one kind"));
    };
    let (gate, limits, folder) = (sample.gate()?, Limits::default(), std::env::temp_dir());
    let context =
        OpenContext { path: Some(&sample.path), spool: Some(&folder), ..OpenContext::new(&limits, gate.as_ref()) };
    match wrapper.contents(&file, &context)?.members.len() {
        1 => bytes_of(wrapper.open(&file, 0, &context)?.as_ref()),
        several => Err(Error::unsupported(format!("it holds {several} disks"))),
    }
}
