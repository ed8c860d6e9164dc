//! Images to be damaged: where their tables and refcounts are, found without the crate.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Edited, Fill, Recording};
use imgfmt_core::convert::Convert;
use imgfmt_core::{CheckStats, CreateRequest, Findings, Format, MemoryTarget, Options, Repair, Secrets};
use imgfmt_qcow2::Qcow2;

/// An image in memory, with a tool box for damage.
#[derive(Clone)]
pub(crate) struct Image(pub(crate) Vec<u8>);

/// No options, and no secrets.
static NOTHING: (Options, Secrets) = (Options::new(), Secrets::new());

/// The name of the image among its files.
const NAME: &str = "disk.qcow2";

impl Image {
    /// A file of `testdata/qcow2`.
    pub(crate) fn sample(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/qcow2").join(name);
        Self(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    /// What the crate writes of a disk with text, noise and gaps.
    pub(crate) fn written(options: &str, compress: bool) -> Self {
        let runs = [(0..5000, Fill::Text), (9000..20_000, Fill::Noise), (70_000..130_000, Fill::Text)];
        Self::of(&Disk::new("some", 130_000, &runs), options, compress)
    }

    /// What the crate writes of a disk of noise of `size` bytes.
    pub(crate) fn written_of(options: &str, size: usize) -> Self {
        Self::of(&Disk::new("noise", size, &[(0..size, Fill::Noise)]), options, false)
    }

    /// What the crate writes of `disk`.
    fn of(disk: &Disk, options: &str, compress: bool) -> Self {
        let mut parsed = Options::new();
        let options = options.split(',').filter_map(|option| option.split_once('='));
        options.for_each(|(name, value)| parsed.set(name, value));
        let target = Arc::new(MemoryTarget::new());
        let request = CreateRequest { compress, ..CreateRequest::new(disk.bytes.len() as u64, &parsed) };
        let writer = Qcow2.create(Arc::clone(&target) as _, &request).expect("the options are known");
        Convert::default().run(&disk.image(), writer).expect("memory is written");
        Self(target.to_vec())
    }

    /// The 64-bit integer at host byte `at`.
    pub(crate) fn u64(&self, at: u64) -> u64 {
        let at = usize::try_from(at).expect("it is in memory");
        u64::from_be_bytes(self.0[at..at + 8].try_into().expect("there are 8"))
    }

    /// The 32-bit integer at host byte `at`.
    pub(crate) fn u32(&self, at: u64) -> u32 {
        u32::try_from(self.u64(at) >> 32).expect("it is the upper half")
    }

    /// Puts a 64-bit integer at host byte `at`.
    pub(crate) fn put(&mut self, at: u64, value: u64) {
        self.put_bytes(at, &value.to_be_bytes());
    }

    /// Puts a 32-bit integer at host byte `at`.
    pub(crate) fn put32(&mut self, at: u64, value: u32) {
        self.put_bytes(at, &value.to_be_bytes());
    }

    /// Puts bytes at host byte `at`.
    pub(crate) fn put_bytes(&mut self, at: u64, bytes: &[u8]) {
        let at = usize::try_from(at).expect("it is in memory");
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Changes the 64-bit integer at host byte `at`.
    pub(crate) fn change(&mut self, at: u64, change: impl FnOnce(u64) -> u64) {
        self.put(at, change(self.u64(at)));
    }

    /// Bytes of a cluster.
    pub(crate) fn cluster_len(&self) -> u64 {
        1 << self.u32(20)
    }

    /// Bytes of an L2 entry.
    fn entry_len(&self) -> u64 {
        let extended = self.u32(4) == 3 && self.u64(72) & 1 << 4 != 0;
        if extended { 16 } else { 8 }
    }

    /// Where the active L1 entry `index` is.
    pub(crate) fn l1_at(&self, index: u64) -> u64 {
        self.u64(40) + index * 8
    }

    /// Where the entry of guest cluster `index` is.
    pub(crate) fn l2_at(&self, index: u64) -> u64 {
        let per_table = self.cluster_len() / self.entry_len();
        let table = self.u64(self.l1_at(index / per_table)) & OFFSET;
        assert_ne!(table, 0, "guest cluster {index} has no L2 table");
        table + index % per_table * self.entry_len()
    }

    /// The host byte that the entry of guest cluster `index` names.
    pub(crate) fn host(&self, index: u64) -> u64 {
        self.u64(self.l2_at(index)) & OFFSET
    }

    /// The guest clusters that are stored plainly.
    pub(crate) fn plain(&self) -> Vec<u64> {
        let clusters = self.u64(24).div_ceil(self.cluster_len());
        let per_table = self.cluster_len() / self.entry_len();
        let has_table = |index: &u64| self.u64(self.l1_at(index / per_table)) & OFFSET != 0;
        let plain = |index: &u64| {
            let raw = self.u64(self.l2_at(*index));
            raw & 1 << 62 == 0 && raw & OFFSET != 0
        };
        (0..clusters).filter(has_table).filter(plain).collect()
    }

    /// Where the refcount block of host cluster `cluster` is, and which of its counts that is.
    fn refcount_place(&self, cluster: u64) -> (u64, u64) {
        let per_block = (self.cluster_len() * 8) >> self.order();
        let block = self.u64(self.u64(48) + cluster / per_block * 8);
        assert_ne!(block, 0, "cluster {cluster} has no refcount block");
        (block, cluster % per_block)
    }

    /// log2 of the bits of a refcount.
    fn order(&self) -> u32 {
        if self.u32(4) == 3 { self.u32(96) } else { 4 }
    }

    /// Makes `value` the refcount of host cluster `cluster`.
    pub(crate) fn set_refcount(&mut self, cluster: u64, value: u64) {
        let (block, index) = self.refcount_place(cluster);
        let bits = 1u64 << self.order();
        if bits < 8 {
            let at = usize::try_from(block + index * bits / 8).expect("it is in memory");
            let shift = index * bits % 8;
            let mask = ((1u64 << bits) - 1) << shift;
            self.0[at] = u8::try_from(u64::from(self.0[at]) & !mask | value << shift).expect("it is a byte");
        } else {
            let len = usize::try_from(bits / 8).expect("it is small");
            self.put_bytes(block + index * bits / 8, &value.to_be_bytes()[8 - len..]);
        }
    }

    /// Its files.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        vec![(NAME.to_owned(), self.0.clone())]
    }

    /// The image as one to be edited.
    pub(crate) fn edited(files: &[(String, Vec<u8>)]) -> Edited<'_> {
        let (options, secrets) = &NOTHING;
        Edited { format: &Qcow2, files, name: NAME, options, secrets, size_unit: 512, shrinks: false }
    }

    /// What a check finds.
    pub(crate) fn check(&self) -> (Findings, CheckStats) {
        let files = self.files();
        Self::edited(&files).check(&Recording::new(&files).files(), None).expect("it can be checked")
    }

    /// Repairs the image; what is found then.
    pub(crate) fn repair(&mut self, repair: Repair) -> Findings {
        let files = self.files();
        let recording = Recording::new(&files);
        let (findings, _) = Self::edited(&files).check(&recording.files(), Some(repair)).expect("it can be repaired");
        self.0 = recording.now().remove(0).1;
        findings
    }

    /// The guest bytes, where all of them can be read.
    pub(crate) fn content(&self) -> Option<Vec<u8>> {
        let files = self.files();
        Self::edited(&files).read(&Recording::new(&files).files()).ok()
    }
}

/// The host offset in an entry.
pub(crate) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The COPIED flag.
pub(crate) const COPIED: u64 = 1 << 63;
