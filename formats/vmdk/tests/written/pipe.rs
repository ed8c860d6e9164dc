//! A target that takes bytes front to back alone.

use std::sync::Arc;

use imgfmt_core::conformance::{Files, Pipe, check_image, disks};
use imgfmt_core::convert::Convert;
use imgfmt_core::{CreateRequest, ErrorKind, Format, Options};
use imgfmt_vmdk::Vmdk;

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
            files.add("disk.vmdk", pipe.to_vec());
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
