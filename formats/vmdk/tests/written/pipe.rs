//! A target that takes bytes front to back alone.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use imgfmt_core::conformance::{Files, check_image, disks};
use imgfmt_core::convert::Convert;
use imgfmt_core::{CreateRequest, Error, ErrorKind, Format, Options, Result, Target};
use imgfmt_vmdk::Vmdk;

/// A pipe that remembers what went through.
#[derive(Debug, Default)]
struct Pipe(Mutex<Vec<u8>>);

impl Target for Pipe {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut all = self.0.lock().unwrap();
        if offset != all.len() as u64 {
            return Err(Error::invalid(format!("byte {offset} is written after byte {}", all.len())));
        }
        all.extend_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        Err(Error::invalid(format!("a pipe cannot be made {len} bytes long")))
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Err(Error::invalid("a pipe has no space"))
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        Err(Error::invalid(format!("{range:?} is cleared, which a stream needs nowhere")))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        true
    }
}

#[test]
fn a_stream_goes_into_a_pipe() {
    for disk in disks().iter().filter(|disk| !disk.bytes.is_empty()) {
        for more in ["", ",grain_size=8k"] {
            let options = Options::parse(&format!("subformat=streamOptimized,cid=7{more}")).unwrap();
            let pipe = Arc::new(Pipe::default());
            let request = CreateRequest::new(disk.bytes.len() as u64, &options);
            let writer = Vmdk.create(pipe.clone(), &request).unwrap();
            Convert::default().run(&disk.image(), writer).unwrap();
            let mut files = Files::default();
            files.add("disk.vmdk", std::mem::take(&mut pipe.0.lock().unwrap()));
            let mut expected = disk.bytes.clone();
            expected.resize(expected.len().next_multiple_of(512), 0);
            check_image(&files.open(&Vmdk, "disk.vmdk").unwrap(), Some(&expected), disk.name);
        }
    }
}

#[test]
fn other_kinds_do_not_go_into_a_pipe_and_say_which_does() {
    for kind in ["monolithicSparse", "twoGbMaxExtentSparse", "monolithicFlat", "vmfs", "twoGbMaxExtentFlat"] {
        let options = Options::parse(&format!("subformat={kind}")).unwrap();
        let refused = Vmdk.create(Arc::new(Pipe::default()), &CreateRequest::new(512, &options));
        let error = refused.err().expect("it is refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("subformat=streamOptimized can"), "{error}");
    }
    let options = Options::parse("subformat=streamOptimized").unwrap();
    let request = CreateRequest { size_grows: true, ..CreateRequest::new(512, &options) };
    assert!(Vmdk.create(Arc::new(Pipe::default()), &request).is_err());
}
