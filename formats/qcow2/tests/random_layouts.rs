//! Random layouts of clusters read as the plain bytes that they were made from.

#[path = "common/raw.rs"]
mod raw;

use std::io::Write;
use std::sync::Arc;

use flate2::{Compression, write::DeflateEncoder};
use imgfmt_core::{Chain, DenyAll, Format, Image, ImageExt, Limits, MemoryStorage, OpenContext};
use imgfmt_qcow2::Qcow2;
use proptest::prelude::*;

/// What a guest cluster is.
#[derive(Clone, Debug)]
enum Kind {
    /// Nothing in this layer.
    Unallocated,
    /// Zeros, with a host cluster full of junk or without.
    Zero { allocated: bool },
    /// Bytes that grow from this one.
    Plain(u8),
    /// The same, compressed.
    Compressed(u8),
}

/// A disk to lay out.
#[derive(Clone, Debug)]
struct Layout {
    bits: u32,
    version: u32,
    kinds: Vec<Kind>,
    /// Bytes that the last cluster has beyond the end of the disk.
    short: usize,
    /// Host clusters are handed out from the end of the file.
    backwards: bool,
    /// The bytes below, which show where nothing is stored.
    below: Option<u8>,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Unallocated),
        1 => any::<bool>().prop_map(|allocated| Kind::Zero { allocated }),
        3 => any::<u8>().prop_map(Kind::Plain),
        2 => any::<u8>().prop_map(Kind::Compressed),
    ]
}

fn layout() -> impl Strategy<Value = Layout> {
    let kinds = prop::collection::vec((kind(), 1usize..6), 0..60)
        .prop_map(|runs| runs.into_iter().flat_map(|(kind, len)| vec![kind; len]).collect());
    (9u32..13, 2u32..4, kinds, 0usize..512, any::<bool>(), any::<Option<u8>>()).prop_map(
        |(bits, version, mut kinds, short, backwards, below): (_, _, Vec<Kind>, _, _, _)| {
            if version == 2 {
                kinds.retain(|kind| !matches!(kind, Kind::Zero { .. }));
            }
            let short = if kinds.is_empty() { 0 } else { short };
            Layout { bits, version, kinds, short, backwards, below }
        },
    )
}

impl Layout {
    fn cluster(&self) -> usize {
        1 << self.bits
    }

    fn size(&self) -> usize {
        self.kinds.len() * self.cluster() - self.short
    }

    /// The bytes of a cluster that is stored.
    fn stored(&self, seed: u8) -> Vec<u8> {
        (0..self.cluster()).map(|at| seed.wrapping_add((at / 32) as u8)).collect()
    }

    /// What the guest sees.
    fn guest(&self) -> Vec<u8> {
        let absent = vec![self.below.unwrap_or(0); self.cluster()];
        let mut guest: Vec<u8> = self
            .kinds
            .iter()
            .flat_map(|kind| match kind {
                Kind::Unallocated => absent.clone(),
                Kind::Zero { .. } => vec![0; self.cluster()],
                Kind::Plain(seed) | Kind::Compressed(seed) => self.stored(*seed),
            })
            .collect();
        guest.truncate(self.size());
        guest
    }

    /// The image: header, L1, L2 tables, compressed clusters back to back, then plain ones.
    fn file(&self) -> Vec<u8> {
        let cluster = self.cluster();
        let per_table = cluster / 8;
        let tables = self.kinds.len().div_ceil(per_table);
        let l1_clusters = (tables * 8).div_ceil(cluster);
        let mut file = self.header(tables);
        file.resize((2 + l1_clusters + tables) * cluster, 0);
        let mut entries = vec![0u64; tables * per_table];
        for (entry, kind) in entries.iter_mut().zip(&self.kinds) {
            if let Kind::Compressed(seed) = kind {
                *entry = self.append_compressed(&mut file, *seed);
            }
        }
        file.resize(file.len().next_multiple_of(cluster), 0xee);
        self.append_plain(&mut file, &mut entries);
        for table in 0..tables {
            let host = (2 + l1_clusters + table) * cluster;
            put(&mut file, 2 * cluster + table * 8, host as u64 | 1 << 63);
            for index in 0..per_table {
                put(&mut file, host + index * 8, entries[table * per_table + index]);
            }
        }
        file
    }

    /// The first cluster. A refcount table is named, and never there.
    fn header(&self, tables: usize) -> Vec<u8> {
        let cluster = self.cluster() as u64;
        let mut header = b"QFI\xfb".to_vec();
        header.extend(self.version.to_be_bytes());
        let name_at = if self.below.is_some() { 200u64 } else { 0 };
        header.extend(name_at.to_be_bytes());
        header.extend(4u32.to_be_bytes());
        header.extend(self.bits.to_be_bytes());
        header.extend((self.size() as u64).to_be_bytes());
        header.extend(0u32.to_be_bytes());
        header.extend(u32::try_from(tables).unwrap_or(0).to_be_bytes());
        header.extend((2 * cluster).to_be_bytes());
        header.extend(cluster.to_be_bytes());
        header.extend(1u32.to_be_bytes());
        header.extend([0; 12]);
        if self.version == 3 {
            header.extend([0; 24]);
            header.extend(4u32.to_be_bytes());
            header.extend(104u32.to_be_bytes());
        }
        header.resize(200, 0);
        header.extend(b"base");
        header
    }

    /// Appends a compressed cluster and returns its entry.
    fn append_compressed(&self, file: &mut Vec<u8>, seed: u8) -> u64 {
        let start = file.len();
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&self.stored(seed)).expect("memory takes all");
        file.extend(encoder.finish().expect("memory takes all"));
        let sectors = (file.len() - 1) / 512 - start / 512;
        1 << 62 | (sectors as u64) << (62 - (self.bits - 8)) | start as u64
    }

    /// Appends the host clusters of plain and zero clusters, and fills in their entries.
    fn append_plain(&self, file: &mut Vec<u8>, entries: &mut [u64]) {
        let mut order: Vec<usize> = (0..self.kinds.len()).collect();
        if self.backwards {
            order.reverse();
        }
        for index in order {
            let bytes = match &self.kinds[index] {
                Kind::Plain(seed) => self.stored(*seed),
                Kind::Zero { allocated: true } => vec![0xdd; self.cluster()],
                Kind::Zero { allocated: false } => {
                    entries[index] = 1;
                    continue;
                }
                Kind::Unallocated | Kind::Compressed(_) => continue,
            };
            let zero = u64::from(matches!(self.kinds[index], Kind::Zero { .. }));
            entries[index] = 1 << 63 | file.len() as u64 | zero;
            file.extend(bytes);
        }
    }

    /// The image over what is below it.
    fn open(&self) -> Chain {
        let limits = Limits::default();
        let context = OpenContext { limits: &limits, gate: &DenyAll, path: None };
        let top = Qcow2.open(Arc::new(MemoryStorage::new(self.file())), &context).expect("a valid image opens");
        assert_eq!(top.parent.is_some(), self.below.is_some());
        let below = self.below.map(|byte| Arc::new(MemoryStorage::new(vec![byte; self.size()])));
        let below = below.map(|bytes| raw::Raw.open(bytes, &context).expect("raw opens").image);
        Chain::new([Some(top.image), below].into_iter().flatten().collect()).expect("there is a layer")
    }
}

/// Puts a 64-bit integer.
fn put(file: &mut [u8], at: usize, value: u64) {
    file[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_layout_reads_as_its_bytes(layout in layout()) {
        let (image, guest) = (layout.open(), layout.guest());
        prop_assert_eq!(image.size(), guest.len() as u64);
        let mut read = vec![0xa5; guest.len()];
        image.read_at(&mut read, 0).expect("a valid image can be read");
        prop_assert!(read == guest);
    }

    #[test]
    fn any_part_of_a_layout_reads_as_its_bytes(layout in layout(), at in 0.0..1.0f64, len in 0usize..9000) {
        let (image, guest) = (layout.open(), layout.guest());
        let at = (at * guest.len() as f64) as usize;
        let len = len.min(guest.len() - at);
        let mut read = vec![0xa5; len];
        image.read_at(&mut read, at as u64).expect("a valid image can be read");
        prop_assert!(read == guest[at..at + len]);
    }

    #[test]
    fn zero_extents_are_zeros_and_no_others_than_the_layout_has(layout in layout()) {
        let (image, guest) = (layout.open(), layout.guest());
        let mut explicit = 0;
        image.visit_extents(0..image.size(), &mut |extent| {
            let bytes = &guest[extent.start as usize..extent.end() as usize];
            assert!(!extent.is_zero() || bytes.iter().all(|&byte| byte == 0));
            if extent.kind == (imgfmt_core::ExtentKind::Zero { explicit: true }) {
                explicit += extent.len;
            }
            Ok(())
        }).expect("a valid image has a map");
        let last = matches!(layout.kinds.last(), Some(Kind::Zero { .. }));
        let zeros = layout.kinds.iter().filter(|kind| matches!(kind, Kind::Zero { .. })).count();
        prop_assert_eq!(explicit as usize, zeros * layout.cluster() - if last { layout.short } else { 0 });
    }
}
