//! What is written reads back, wherever it is written to: a pipe, a device that holds something else, a data file
//! beside the image; and where the size is not known before.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use imgfmt_core::conformance::{Disk, Files, Pipe, check_image};
use imgfmt_core::convert::Convert;
use imgfmt_core::{CreateRequest, ErrorKind, Format, Image, MemoryTarget, Options, Result, Siblings, Target};
use imgfmt_qcow2::Qcow2;
use proptest::prelude::{any, proptest};

use crate::config;
use crate::disks::{Case, cases};

proptest! {
    #![proptest_config(config(20))]

    #[test]
    fn a_pipe_takes_any_disk_in_order(case in cases()) {
        let case = case.plain();
        let disk = case.disk();
        let file = piped(&case, &disk, 1);
        assert!(file == piped(&case, &disk, case.threads), "{} threads write another file", case.threads);
        check(&[("disk", file)], &disk, &case.options);
    }

    #[test]
    fn what_a_device_held_before_shows_nowhere(case in cases()) {
        let case = Case { backed: false, ..case };
        let disk = case.disk();
        let device = Arc::new(Device::default());
        let options = Options::parse(&case.options).unwrap();
        let image = disk.image();
        let request = CreateRequest {
            compress: case.compress,
            target_is_zero: false,
            ..CreateRequest::new(image.size(), &options)
        };
        run(&case, &image, device.clone(), &request, None);
        check(&[("disk", device.bytes.to_vec())], &disk, &case.options);
    }

    #[test]
    fn a_data_file_holds_any_disk(case in cases(), raw in any::<bool>(), grows in any::<bool>()) {
        let mut case = case.plain();
        case.options = format!("{},data_file=data,data_file_raw={}", case.options, if raw { "on" } else { "off" });
        if case.options.contains("compat=0.10") {
            return Ok(());
        }
        let disk = case.disk();
        let (target, beside) = (Arc::new(MemoryTarget::new()), Beside::default());
        let options = Options::parse(&case.options).unwrap();
        let image = disk.image();
        let size = if grows { 0 } else { image.size() };
        let request = CreateRequest { files: &beside, size_grows: grows, ..CreateRequest::new(size, &options) };
        run(&case, &image, target.clone(), &request, grows.then_some(image.size()));
        let data = beside.0.lock().unwrap()[Path::new("data")].to_vec();
        let mut expected = disk.bytes.clone();
        expected.resize(expected.len().next_multiple_of(512), 0);
        assert_eq!(data.len(), expected.len());
        assert!(!raw || data == expected, "the data file is not the disk");
        check(&[("disk", target.to_vec()), ("data", data)], &disk, &case.options);
    }

    #[test]
    fn a_disk_may_grow_to_any_size(case in cases()) {
        let case = Case { backed: false, ..case };
        let disk = case.disk();
        let target = Arc::new(MemoryTarget::new());
        let options = Options::parse(&case.options).unwrap();
        let image = disk.image();
        let request = CreateRequest { compress: case.compress, size_grows: true, ..CreateRequest::new(0, &options) };
        run(&case, &image, target.clone(), &request, Some(image.size()));
        check(&[("disk", target.to_vec())], &disk, &case.options);
    }
}

#[test]
fn what_cannot_be_written_is_refused_with_its_reason() {
    let disk = Disk::new("small", 100_000, &[]);
    let image = disk.image();
    let refused = |options: &str, pipe: bool, change: &dyn Fn(&mut CreateRequest<'_>)| {
        let options = Options::parse(options).unwrap();
        let mut request = CreateRequest { plan: Some(&image), ..CreateRequest::new(image.size(), &options) };
        change(&mut request);
        let target: Arc<dyn Target> = if pipe { Arc::new(Pipe::default()) } else { Arc::new(MemoryTarget::new()) };
        let error = Qcow2.create(target, &request).err().map(|error| (error.kind(), error.to_string()));
        error.unwrap_or_else(|| panic!("{options:?} is not refused"))
    };
    let nothing = |_: &mut CreateRequest<'_>| {};
    for (reason, change) in [
        ("compressed", &(|request: &mut CreateRequest<'_>| request.compress = true) as &dyn Fn(&mut CreateRequest<'_>)),
        ("size", &|request| request.size_grows = true),
        ("not known before", &|request| request.plan = None),
    ] {
        let (kind, message) = refused("", true, change);
        assert!(kind == ErrorKind::Unsupported && message.contains(reason), "{message}");
    }
    for (options, kind) in [("preallocation=falloc", ErrorKind::Unsupported), ("data_file=x", ErrorKind::Unsupported)] {
        assert_eq!(refused(options, true, &nothing).0, kind, "{options}");
    }
    for options in [
        "data_file_raw=on",
        "data_file=x,compat=0.10",
        "extended_l2=on,compat=0.10",
        "extended_l2=on,cluster_size=8k",
        "lazy_refcounts=on,compat=0.10",
        "refcount_bits=8,compat=0.10",
        "data_file=a\0b",
    ] {
        assert_eq!(refused(options, false, &nothing).0, ErrorKind::Invalid, "{options}");
    }
    let compress = |request: &mut CreateRequest<'_>| request.compress = true;
    for options in ["data_file=x", "preallocation=metadata"] {
        assert_eq!(refused(options, false, &compress).0, ErrorKind::Invalid, "{options}");
    }
    assert_eq!(refused("data_file=x", false, &nothing).0, ErrorKind::Unsupported, "there is no room for a second file");
}

/// Writes a disk into a pipe with `threads` threads.
fn piped(case: &Case, disk: &Disk, threads: usize) -> Vec<u8> {
    let pipe = Arc::new(Pipe::default());
    let options = Options::parse(&case.options).expect("they fit together");
    let image = disk.image();
    let request = CreateRequest { plan: Some(&image), ..CreateRequest::new(image.size(), &options) };
    run(&Case { threads, ..case.clone() }, &image, pipe.clone(), &request, None);
    pipe.to_vec()
}

/// Writes `image` to `target`; `size` is told before the end, where it is not known before.
fn run(case: &Case, image: &dyn Image, target: Arc<dyn Target>, request: &CreateRequest<'_>, size: Option<u64>) {
    let writer = Qcow2.create(target, request).expect("such an image can be written");
    if let Some(size) = size {
        writer.set_size(size).expect("the writer is told");
    }
    let threads = NonZeroUsize::new(case.threads).expect("it is not 0");
    Convert { threads, zero_grain: case.zero_grain, ..Convert::default() }.run(image, writer).expect("it is written");
}

/// Opens the first of `files` and compares it with `disk`.
fn check(list: &[(&str, Vec<u8>)], disk: &Disk, options: &str) {
    let mut files = Files::default();
    list.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
    let mut expected = disk.bytes.clone();
    expected.resize(expected.len().next_multiple_of(512), 0);
    check_image(&files.open(&Qcow2, list[0].0).expect("what was written opens"), Some(&expected), options);
}

/// Makes files in memory.
#[derive(Default)]
struct Beside(Mutex<HashMap<PathBuf, Arc<MemoryTarget>>>);

impl Siblings for Beside {
    fn create(&self, name: &Path) -> Result<Arc<dyn Target>> {
        let target = Arc::new(MemoryTarget::new());
        self.0.lock().expect("nobody panics").insert(name.to_path_buf(), target.clone());
        Ok(target)
    }
}

/// A device full of something else.
#[derive(Debug)]
struct Device {
    /// What it holds.
    bytes: MemoryTarget,
}

impl Default for Device {
    fn default() -> Self {
        let bytes = MemoryTarget::new();
        bytes.write_at(&vec![0xaa; DEVICE_LEN], 0).expect("there is memory");
        Self { bytes }
    }
}

impl Target for Device {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.bytes.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        assert!(len <= DEVICE_LEN as u64, "the device is large enough");
        Ok(())
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.bytes.clear(range)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }
}

/// Bytes of the device: enough for the largest disk in the largest clusters.
const DEVICE_LEN: usize = 40 << 20;
