//! What is written reads back, whatever the disk and the options.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Files, Fill, check_image};
use imgfmt_core::convert::Convert;
use imgfmt_core::{Backing, CreateRequest, Format, Image, MemoryTarget, Options, ParentName};
use imgfmt_qcow2::Qcow2;
use proptest::prelude::proptest;

use crate::config;
use crate::disks::{Case, cases};

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn any_disk_reads_back_however_it_is_written(case in cases()) {
        let disk = case.disk();
        let file = case.write(&disk, 1);
        assert!(file == case.write(&disk, 1), "the same is not written twice");
        assert!(file == case.write(&disk, case.threads), "{} threads write another file", case.threads);
        let mut files = Files::default();
        files.add("disk", file);
        files.add("base", base(disk.bytes.len()));
        let mut expected = disk.bytes;
        expected.resize(expected.len().next_multiple_of(512), 0);
        check_image(&files.open(&Qcow2, "disk").unwrap(), Some(&expected), &case.options);
    }
}

impl Case {
    /// The file that `threads` threads write.
    fn write(&self, disk: &Disk, threads: usize) -> Vec<u8> {
        let convert =
            Convert { threads: NonZeroUsize::new(threads).unwrap(), zero_grain: self.zero_grain, ..Convert::default() };
        write(disk, &self.options, self.compress, self.backed, &convert)
    }
}

/// A backing file full of noise.
fn base(len: usize) -> Vec<u8> {
    let disk = Disk::new("base", len, &[(0..len, Fill::Noise)]);
    write(&disk, "", false, false, &Convert::default())
}

/// Writes `disk`.
fn write(disk: &Disk, options: &str, compress: bool, backed: bool, convert: &Convert<'_>) -> Vec<u8> {
    let name = ParentName { name: PathBuf::from("base"), format: Some(Qcow2.name().to_owned()) };
    let backing = Backing { name, ..Backing::default() };
    let source = disk.image();
    let options = Options::parse(options).unwrap();
    let request = CreateRequest {
        compress,
        backing: Some(&backing).filter(|_| backed),
        ..CreateRequest::new(source.size(), &options)
    };
    let target = Arc::new(MemoryTarget::new());
    convert.run(&source, Qcow2.create(target.clone(), &request).unwrap()).unwrap();
    target.to_vec()
}
