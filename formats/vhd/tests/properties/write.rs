//! What is written reads back, whatever the disk and the options.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Files, Fill, Pipe, check_image};
use imgfmt_core::convert::Convert;
use imgfmt_core::{CreateRequest, ErrorKind, Form, Format, Image, MemoryTarget, Options, Piece, Target};
use imgfmt_vhd::Vhd;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

use crate::config;
use crate::disks::{backing, write_with};

/// What is always said, so that a file is the same every time.
const FIXED_ID: &str = "uuid=00112233-4455-6677-8899-aabbccddeeff,timestamp=1000000000";

/// A disk, and how it is written.
#[derive(Clone, Debug)]
pub(crate) struct Case {
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

    /// The file that it becomes, and the guest bytes in there.
    pub(crate) fn written(&self) -> (Vec<u8>, Vec<u8>) {
        let disk = self.disk();
        (write_with(&self.convert(2), &disk.image(), &self.options, None).unwrap(), whole_sectors(disk.bytes))
    }

    /// How `threads` threads convert.
    fn convert(&self, threads: usize) -> Convert<'static> {
        Convert { threads: NonZeroUsize::new(threads).unwrap(), zero_grain: self.zero_grain, ..Convert::default() }
    }
}

/// Disks up to 2 MB, and up to 5 blocks of the smallest size.
pub(crate) fn cases() -> impl Strategy<Value = Case> {
    let sizes = prop_oneof![0..5000usize, 0..2_600_000usize, (0..5000usize).prop_map(|sectors| sectors * 512)];
    let lens = || prop_oneof![1..2000usize, 1..200_000usize, (1..40usize).prop_map(|pages| pages * 4096)];
    let fills = select(vec![Fill::Text, Fill::Noise, Fill::Zeros]);
    let runs = proptest::collection::vec((prop_oneof![Just(0), lens()], lens(), fills), 0..14);
    let options = select(vec!["", "block_size=512k", "block_size=512k", "subformat=fixed", "block_size=4M"]);
    let grains = option::weighted(0.8, prop_oneof![Just(4096), (0..20u32).prop_map(|bits| 1 << bits)]);
    (sizes, runs, options, grains, 2..7usize).prop_map(|(size, runs, options, zero_grain, threads)| Case {
        size,
        runs,
        options: format!("{FIXED_ID},{options}"),
        zero_grain,
        threads,
    })
}

/// `bytes` in whole sectors.
fn whole_sectors(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn any_disk_reads_back_however_it_is_written(case in cases()) {
        let disk = case.disk();
        let file = write_with(&case.convert(1), &disk.image(), &case.options, None).unwrap();
        let again = write_with(&case.convert(case.threads), &disk.image(), &case.options, None).unwrap();
        assert!(file == again, "{} threads write another file", case.threads);
        let mut files = Files::default();
        files.add("disk", file);
        check_image(&files.open(&Vhd, "disk").unwrap(), Some(&whole_sectors(disk.bytes)), &case.options);
    }

    #[test]
    fn a_child_hides_its_parent_where_it_has_to(case in cases(), base in cases(), sectors in any::<bool>()) {
        let base = base.disk();
        let options = case.options.replace("subformat=fixed", "");
        let parent = write_with(&case.convert(1), &base.image(), &base_options(), None).unwrap();
        let mut files = Files::default();
        files.add("base.vhd", parent);
        let backing = backing(&files.open(&Vhd, "base.vhd").unwrap(), "base.vhd", Some(Path::new("/disks/base.vhd")));
        let disk = case.disk();
        // Only what is left to the parent is not written: here, all that lies in its layer.
        let zero_grain = if sectors { Some(512) } else { case.zero_grain };
        let convert = Convert { zero_grain, ..case.convert(1) };
        let file = write_with(&convert, &disk.image(), &options, Some(&backing)).unwrap();
        let more = Convert { zero_grain, ..case.convert(case.threads) };
        assert!(file == write_with(&more, &disk.image(), &options, Some(&backing)).unwrap());
        files.add("disk", file);
        check_image(&files.open(&Vhd, "disk").unwrap(), Some(&whole_sectors(disk.bytes)), &options);
    }

    #[test]
    fn a_copy_of_a_child_leaves_to_the_parent_what_is_the_parents(case in cases(), base in cases()) {
        let (base, disk) = (base.disk(), case.disk());
        let options = case.options.replace("subformat=fixed", "");
        let mut files = Files::default();
        files.add("base.vhd", write_with(&case.convert(1), &base.image(), &base_options(), None).unwrap());
        let backing = backing(&files.open(&Vhd, "base.vhd").unwrap(), "base.vhd", None);
        files.add("first", write_with(&case.convert(1), &disk.image(), &options, Some(&backing)).unwrap());
        let first = files.open(&Vhd, "first").unwrap();
        let convert = Convert { absent_from: Some(1), ..case.convert(case.threads) };
        files.add("second", write_with(&convert, &first, &options, Some(&backing)).unwrap());
        check_image(&files.open(&Vhd, "second").unwrap(), Some(&whole_sectors(disk.bytes)), &options);
    }

    #[test]
    fn what_was_in_the_target_does_not_show(case in cases(), full in any::<bool>()) {
        let disk = case.disk();
        let options = Options::parse(&case.options).unwrap();
        let target = Arc::new(MemoryTarget::new());
        target.write_at(&vec![0xaa; 4 << 20], 0).unwrap();
        let request = CreateRequest {
            target_is_zero: false,
            full_allocation: full,
            ..CreateRequest::new(disk.image().size(), &options)
        };
        case.convert(case.threads).run(&disk.image(), Vhd.create(target.clone(), &request).unwrap()).unwrap();
        let mut files = Files::default();
        files.add("disk", target.to_vec());
        check_image(&files.open(&Vhd, "disk").unwrap(), Some(&whole_sectors(disk.bytes)), &case.options);
    }

    #[test]
    fn a_fixed_disk_may_grow(case in cases(), aligned in any::<bool>(), zero in any::<bool>(), pipe in any::<bool>()) {
        let disk = case.disk();
        let options = format!("{FIXED_ID},subformat=fixed,align={}", if aligned { "1M" } else { "512" });
        let file = write_with(&case.convert(1), &disk.image(), &options, None).unwrap();
        let options = Options::parse(&options).unwrap();
        let request = CreateRequest { size_grows: true, target_is_zero: zero, ..CreateRequest::new(0, &options) };
        let (plain, piped) = (Arc::new(MemoryTarget::new()), Arc::new(Pipe::default()));
        if !zero {
            plain.write_at(&vec![0xaa; 4 << 20], 0).unwrap();
        }
        let writer = Vhd.create(if pipe { piped.clone() } else { plain.clone() }, &request).unwrap();
        for (index, chunk) in disk.bytes.chunks(4096).enumerate() {
            let form = if chunk.iter().all(|&byte| byte == 0) { Form::Zero } else { Form::Plain };
            let piece = Piece { guest: index as u64 * 4096, len: chunk.len() as u64, form };
            let placed = writer.place(&piece).unwrap();
            if form == Form::Plain {
                writer.store(&piece, placed.host, chunk).unwrap();
            }
        }
        writer.set_size(disk.bytes.len() as u64).unwrap();
        writer.finish().unwrap();
        assert!(if pipe { piped.to_vec() } else { plain.to_vec() } == file);
    }

    #[test]
    fn a_pipe_gets_a_fixed_disk_and_no_other(case in cases(), aligned in any::<bool>()) {
        let disk = case.disk();
        let options = format!("{FIXED_ID},subformat=fixed,align={}", if aligned { "1M" } else { "512" });
        let file = write_with(&case.convert(1), &disk.image(), &options, None).unwrap();
        let pipe = Arc::new(Pipe::default());
        let options = Options::parse(&options).unwrap();
        let request = CreateRequest::new(disk.image().size(), &options);
        let writer = Vhd.create(pipe.clone(), &request).unwrap();
        case.convert(case.threads).run(&disk.image(), writer).unwrap();
        assert!(pipe.to_vec() == file);
        let dynamic = Options::default();
        let request = CreateRequest::new(disk.image().size(), &dynamic);
        let error = Vhd.create(Arc::new(Pipe::default()), &request).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

/// Options of a parent: its identity is not its child's.
fn base_options() -> String {
    FIXED_ID.replace("00112233", "99999999")
}

#[test]
fn what_a_vhd_cannot_be_is_refused() {
    let disk = Disk::new("some", 512, &[(0..512, Fill::Text)]).image();
    let options = Options::default();
    let refused =
        |request: CreateRequest<'_>| Vhd.create(Arc::new(MemoryTarget::new()), &request).err().unwrap().kind();
    let request = CreateRequest::new(512, &options);
    assert_eq!(refused(CreateRequest { compress: true, ..request }), ErrorKind::Invalid);
    assert_eq!(refused(CreateRequest { size_grows: true, ..request }), ErrorKind::Unsupported);
    let stranger = backing(&disk, "base.raw", None);
    assert_eq!(refused(CreateRequest { backing: Some(&stranger), ..request }), ErrorKind::Invalid);
    let fixed = Options::parse("subformat=fixed").unwrap();
    assert_eq!(
        refused(CreateRequest { backing: Some(&stranger), ..CreateRequest::new(512, &fixed) }),
        ErrorKind::Invalid
    );
}
