//! What is written reads back, whatever the disk and the options.

use std::num::NonZeroUsize;
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Files, Fill, Pipe, check_image};
use imgfmt_core::convert::Convert;
use imgfmt_core::{Backing, CreateRequest, ErrorKind, Format, Image, MemoryTarget, Options, Target};
use imgfmt_vdi::Vdi;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

use crate::config;
use crate::edited::{check, faults, number};

/// What is always said, so that a file is the same every time.
const FIXED_ID: &str =
    "uuid=00112233-4455-6677-8899-aabbccddeeff,modification_uuid=10112233-4455-6677-8899-aabbccddeeff";

/// A disk, and how it is written.
#[derive(Clone, Debug)]
struct Case {
    /// Guest bytes.
    size: usize,
    /// Runs that the map calls data: gap before, length, and content.
    runs: Vec<(usize, usize, Fill)>,
    /// Options as on a command line.
    options: String,
    /// Which zeros are found.
    zero_grain: Option<u64>,
    /// Threads of the second run.
    threads: usize,
}

impl Case {
    /// The disk.
    fn disk(&self) -> Disk {
        let mut at = 0;
        let mut runs = Vec::new();
        for &(gap, len, fill) in &self.runs {
            let start = at + gap;
            at = start + len;
            if start < at.min(self.size) {
                runs.push((start..at.min(self.size), fill));
            }
        }
        Disk::new("random", self.size, &runs)
    }

    /// How `threads` threads convert.
    fn convert(&self, threads: usize) -> Convert<'static> {
        Convert { threads: NonZeroUsize::new(threads).unwrap(), zero_grain: self.zero_grain, ..Convert::default() }
    }

    /// The file that `threads` threads write into `target`, as `request` says besides.
    fn write(&self, threads: usize, target: Arc<dyn Target>, request: CreateRequest<'_>) {
        let disk = self.disk();
        let options = Options::parse(&self.options).unwrap();
        let request = CreateRequest { size: disk.image().size(), options: &options, ..request };
        self.convert(threads).run(&disk.image(), Vdi.create(target, &request).unwrap()).unwrap();
    }

    /// The same into memory.
    fn written(&self, threads: usize) -> Vec<u8> {
        let target = Arc::new(MemoryTarget::new());
        self.write(threads, target.clone(), CreateRequest::new(0, &Options::new()));
        target.to_vec()
    }

    /// Checks that `file` is an image of the disk without damage.
    fn check(&self, file: Vec<u8>) {
        let mut bytes = self.disk().bytes;
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        assert!(faults(&check(&vec![("disk".to_owned(), file.clone())])).is_empty());
        let mut files = Files::default();
        files.add("disk", file);
        check_image(&files.open(&Vdi, "disk").unwrap(), Some(&bytes), &self.options);
    }
}

/// Disks of up to five blocks.
fn cases() -> impl Strategy<Value = Case> {
    let sizes = prop_oneof![0..5000usize, 0..4_700_000usize, (0..9000usize).prop_map(|sectors| sectors * 512)];
    let lens = || prop_oneof![1..2000usize, 1..900_000usize, (1..40usize).prop_map(|pages| pages * 4096)];
    let fills = select(vec![Fill::Text, Fill::Noise, Fill::Zeros]);
    let runs = proptest::collection::vec((prop_oneof![Just(0), lens()], lens(), fills), 0..8);
    let options = select(vec!["", "static=off", "static=on"]);
    let grains = option::weighted(0.8, prop_oneof![Just(4096), (0..20u32).prop_map(|bits| 1 << bits)]);
    (sizes, runs, options, grains, 2..7usize).prop_map(|(size, runs, options, zero_grain, threads)| Case {
        size,
        runs,
        options: format!("{FIXED_ID},{options}"),
        zero_grain,
        threads,
    })
}

proptest! {
    #![proptest_config(config(16))]

    #[test]
    fn any_disk_reads_back_however_it_is_written(case in cases()) {
        let file = case.written(1);
        assert!(file == case.written(case.threads), "{} threads write another file", case.threads);
        case.check(file);
    }

    #[test]
    fn what_was_in_the_target_does_not_show(case in cases(), full in any::<bool>()) {
        let target = Arc::new(MemoryTarget::new());
        target.write_at(&vec![0xaa; 7 << 20], 0).unwrap();
        let options = Options::new();
        let request = CreateRequest { target_is_zero: false, full_allocation: full, ..CreateRequest::new(0, &options) };
        case.write(case.threads, target.clone(), request);
        case.check(target.to_vec());
    }

    #[test]
    fn a_pipe_gets_a_fixed_image_and_no_other(case in cases()) {
        let case = Case { options: format!("{FIXED_ID},static=on"), ..case };
        let pipe = Arc::new(Pipe::default());
        case.write(case.threads, pipe.clone(), CreateRequest::new(0, &Options::new()));
        assert!(pipe.to_vec() == case.written(1));
        let options = Options::new();
        let error = Vdi.create(Arc::new(Pipe::default()), &CreateRequest::new(512, &options)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn zeros_take_no_block_and_the_rest_lies_in_guest_order() {
    let runs = [(3 << 20..(3 << 20) + 10, Fill::Noise), ((5 << 20) + 100..(5 << 20) + 200, Fill::Text)];
    let disk = Disk::new("sparse", 7 << 20, &runs);
    let (target, options) = (Arc::new(MemoryTarget::new()), Options::new());
    let request = CreateRequest::new(disk.image().size(), &options);
    Convert::default().run(&disk.image(), Vdi.create(target.clone(), &request).unwrap()).unwrap();
    let file = target.to_vec();
    assert_eq!((number(&file, 388), file.len()), (2, 3 << 20));
    let entries: Vec<_> = (0..7).map(|index| u32::try_from(number(&file, 512 + 4 * index)).unwrap()).collect();
    assert_eq!(entries, [u32::MAX, u32::MAX, u32::MAX, 0, u32::MAX, 1, u32::MAX]);
}

#[test]
fn what_a_vdi_cannot_be_is_refused() {
    let options = Options::default();
    let refused =
        |request: CreateRequest<'_>| Vdi.create(Arc::new(MemoryTarget::new()), &request).err().unwrap().kind();
    let request = CreateRequest::new(512, &options);
    assert_eq!(refused(CreateRequest { compress: true, ..request }), ErrorKind::Invalid);
    assert_eq!(refused(CreateRequest { size_grows: true, ..request }), ErrorKind::Unsupported);
    let backing = Backing::default();
    assert_eq!(refused(CreateRequest { backing: Some(&backing), ..request }), ErrorKind::Invalid);
}
