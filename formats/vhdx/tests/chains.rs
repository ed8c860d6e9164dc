//! Differencing disks, through the whole of the core: written over a parent, found by name, known by identifier.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Files, Fill, read_all};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    Backing, ByteCounts, Chain, CreateRequest, DenyAll, Description, Encoded, ErrorKind, ExtentKind, ExtentSink,
    Format, Image, Limits, MemoryStorage, MemoryTarget, Opener, Options, ParentName, Result, Storage, Target,
};
use imgfmt_vhdx::Vhdx;

/// The bytes of the file that `source` becomes.
fn write(source: &dyn Image, options: &str, backing: Option<&Backing>, convert: &Convert<'_>) -> Vec<u8> {
    let target = Arc::new(MemoryTarget::new());
    let options = Options::parse(options).expect("a test has valid options");
    let request = CreateRequest { backing, ..CreateRequest::new(source.size(), &options) };
    let writer = Vhdx.create(Arc::clone(&target) as Arc<dyn Target>, &request).expect("it can be written");
    convert.run(source, writer).expect("it can be written");
    target.to_vec()
}

/// The parent, of 5 MiB.
fn base() -> Disk {
    Disk::new("base", 5 << 20, &[(0..3 << 20, Fill::Noise), (4 << 20..5 << 20, Fill::Text)])
}

/// A file called `name` as the backing file of a child.
fn backing(files: &Files, name: &str) -> Backing {
    let disk = files.open(&Vhdx, name).expect("it opens");
    let identities = disk.describe().identities;
    let name = ParentName { name: name.into(), format: Some("vhdx".to_owned()) };
    Backing { name, identities, size: disk.size(), ..Backing::default() }
}

/// Layers of a chain: two children over the base, each of which changes, zeroes and leaves some of it.
fn chain() -> (Files, Vec<u8>) {
    let base = base();
    let mut files = Files::default();
    files.add("base.vhdx", write(&base.image(), "block_size=1M", None, &Convert::default()));
    let mut bytes = base.bytes;
    for (name, parent, at) in [("middle.vhdx", "base.vhdx", 100_000), ("top.vhdx", "middle.vhdx", 2_200_000)] {
        bytes[at..at + 300_000].fill(at as u8 | 1);
        bytes[at + 800_000..at + 1_000_000].fill(0);
        // What differs is stored, and so is all that shares a unit with it; the rest is left to the parent.
        let below = files.open(&Vhdx, parent).expect("it opens");
        let source = differences(&bytes, below);
        let convert = Convert { absent_from: Some(1), ..Convert::default() };
        let file = write(&source, "block_size=1M", Some(&backing(&files, parent)), &convert);
        files.add(name, file);
    }
    (files, bytes)
}

/// A disk of these bytes over `below`: what is not as it was is layer 0.
fn differences(bytes: &[u8], below: Chain) -> Chain {
    let mut old = read_all(&below);
    old.resize(bytes.len(), 0);
    let differs = |at: &usize| {
        let end = (*at + STEP).min(old.len());
        bytes[*at..end] != old[*at..end]
    };
    let parts: Vec<_> = (0..old.len()).step_by(STEP).filter(differs).map(|at| at as u64).collect();
    let top = Layer { bytes: bytes.to_vec(), parts };
    Chain::new(vec![Box::new(top), Box::new(below)]).expect("there are layers")
}

/// The parts of a disk that differ from what is below.
struct Layer {
    /// The disk.
    bytes: Vec<u8>,
    /// First bytes of the parts, each of [`STEP`] bytes.
    parts: Vec<u64>,
}

impl Image for Layer {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &[]
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let step = STEP as u64;
        let mut at = range.start / step * step;
        while !sink.is_full() {
            let own = self.parts.binary_search(&at).is_ok();
            let kind = if own { ExtentKind::Opaque } else { ExtentKind::Parent };
            sink.push(at, step.min(self.size() - at), kind);
            at += step;
        }
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Ok(0..0)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        buf.copy_from_slice(&self.bytes[start..start + buf.len()]);
        Ok(())
    }

    fn describe(&self) -> Description {
        Description::default()
    }
}

/// Bytes that are compared at once.
const STEP: usize = 4096;

#[test]
fn a_chain_that_was_written_reads_as_the_disk() {
    let (files, bytes) = chain();
    let disk = files.open(&Vhdx, "top.vhdx").unwrap();
    assert_eq!(disk.layers().len(), 3);
    assert!(read_all(&disk) == bytes, "the bytes differ");
    imgfmt_core::conformance::check_image(&disk, Some(&bytes), "chain");
    let top = &disk.layers()[0];
    let counts = ByteCounts::of(top.as_ref()).unwrap();
    assert!(counts.parent > 3 << 20 && counts.data > 0, "{counts:?}");
    let said = top.describe();
    assert_eq!(said.subformat.as_deref(), Some("differencing"));
    assert_eq!(said.parent.unwrap().name.to_str(), Some("middle.vhdx"));
}

#[test]
fn the_number_of_threads_does_not_change_a_layer() {
    let (files, bytes) = chain();
    let options = "block_size=1M,guid=b5c7a4d2-50b4-4c6e-9d3b-3b1f0c9d2a11";
    let write = |threads| {
        let source = differences(&bytes, files.open(&Vhdx, "base.vhdx").unwrap());
        let threads = NonZeroUsize::new(threads).unwrap();
        let convert = Convert { absent_from: Some(1), threads, ..Convert::default() };
        write(&source, options, Some(&backing(&files, "base.vhdx")), &convert)
    };
    let one = write(1);
    assert!(write(2) == one && write(7) == one);
}

#[test]
fn another_file_under_the_parents_name_is_refused() {
    let (mut files, _) = chain();
    files.add("base.vhdx", write(&base().image(), "block_size=1M", None, &Convert::default()));
    let error = files.open(&Vhdx, "top.vhdx").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert_eq!(error.field_name(), Some("DataWriteGuid"));
}

#[test]
fn a_chain_that_leads_back_to_itself_ends() {
    let mut files = Files::default();
    files.add("a.vhdx", write(&base().image(), "", None, &Convert::default()));
    let mut backing = backing(&files, "a.vhdx");
    backing.name.name = "loop.vhdx".into();
    // A child that is its own parent by name and by identifier.
    let options = format!("guid={}", backing.identities[0].value);
    let empty = Disk::new("empty", 1 << 20, &[]);
    files.add("loop.vhdx", write(&empty.image(), &options, Some(&backing), &Convert::default()));
    assert_eq!(files.open(&Vhdx, "loop.vhdx").err().unwrap().kind(), ErrorKind::LimitExceeded);
}

#[test]
fn what_the_format_does_not_have_is_refused() {
    let file = MemoryTarget::new();
    let target: Arc<dyn Target> = Arc::new(file);
    let refused = |options: &str, change: &dyn Fn(&mut CreateRequest<'_>)| {
        let options = Options::parse(options).unwrap();
        let mut request = CreateRequest::new(1 << 20, &options);
        change(&mut request);
        Vhdx.create(Arc::clone(&target), &request).err().map(|error| error.kind())
    };
    for options in [
        "block_size=512k",
        "block_size=3M",
        "block_size=512M",
        "log_size=100k",
        "log_size=4G",
        "logical_sector_size=520",
        "logical_sector_size=4096,physical_sector_size=512",
        "guid=x",
        "subformat=differencing",
        "cluster_size=64k",
    ] {
        assert_eq!(refused(options, &|_| {}), Some(ErrorKind::Invalid), "{options}");
    }
    assert_eq!(refused("", &|_| {}), None);
    assert_eq!(refused("", &|request| request.compress = true), Some(ErrorKind::Invalid));
    assert_eq!(refused("", &|request| request.size = (64 << 40) + 1), Some(ErrorKind::Invalid));
    assert_eq!(refused("", &|request| request.size_grows = true), Some(ErrorKind::Unsupported));
}

#[test]
fn snapshots_are_refused_by_name() {
    let file = write(&base().image(), "", None, &Convert::default());
    let (formats, limits): ([&dyn Format; 1], _) = ([&Vhdx], Limits::default());
    let mut opener = Opener::new(&formats, &DenyAll, &limits);
    opener.context.snapshot = Some("before");
    let error = opener.open(Arc::new(MemoryStorage::new(file)), None, None).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
