//! qcow2 files that no writer makes: clusters in any order, streams that share sectors, tables that are not there.
//!
//! Written from the specification alone; nothing is shared with the crate.

use std::io::Write;

use flate2::write::DeflateEncoder;
use imgfmt_core::Codec;
use imgfmt_core::codec::{Compression, Encoder};
use imgfmt_core::conformance::Noise;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

/// What a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The backing file shows, or zeros.
    Absent,
    /// Zeros without a host cluster; version 3.
    Zero,
    /// Zeros with a host cluster that holds something else; version 3.
    ZeroAllocated,
    /// Stored as it is: noise.
    Data,
    /// Stored compressed.
    Compressed,
    /// A host cluster of noise, of which some subclusters are stored and some read as zeros; in extended images.
    Parts {
        /// The subclusters that are stored, the first in the lowest bit.
        stored: u32,
        /// Those that read as zeros, none of them stored.
        zero: u32,
    },
}

/// The plan of a file.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Whether it is of version 2.
    v2: bool,
    /// log2 of the cluster length.
    bits: u32,
    /// Whether entries are extended.
    extended: bool,
    /// Guest bytes.
    pub(crate) size: usize,
    /// The clusters.
    kinds: Vec<Kind>,
    /// Whether compressed clusters are Zstandard frames.
    zstd: bool,
    /// Entries of the L1 table that are too many.
    spare_tables: usize,
    /// What contents and order follow from.
    seed: u64,
}

/// Plans of files of all cluster lengths up to 64 KiB, with disks that end anywhere.
pub(crate) fn plans() -> impl Strategy<Value = Plan> {
    let shape = prop_oneof![3 => (Just(9), 1..300usize), 3 => (10..14u32, 1..60usize), 1 => (14..17u32, 1..12usize)];
    let kind = prop_oneof![
        4 => Just(Kind::Absent),
        1 => Just(Kind::Zero),
        1 => Just(Kind::ZeroAllocated),
        2 => Just(Kind::Data),
        2 => Just(Kind::Compressed),
        3 => parts(),
    ];
    // Runs make extents that are longer than a cluster, and whole tables that are absent.
    let runs = proptest::collection::vec((kind, 1..70usize), 1..24);
    (shape, runs, any::<[bool; 3]>(), 0..3usize, any::<u64>()).prop_map(
        |(shape, runs, [v2, zstd, extended], spare, seed)| {
            let (bits, clusters) = shape;
            let all = runs.into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count));
            let extended = extended && !v2 && bits >= 14;
            let known = |kind| match kind {
                Kind::Zero | Kind::ZeroAllocated => !v2,
                Kind::Parts { .. } => extended,
                _ => true,
            };
            let kinds: Vec<_> =
                all.cycle().map(|kind| if known(kind) { kind } else { Kind::Data }).take(clusters).collect();
            let mut noise = Noise(seed | 1);
            let cut = usize::try_from(noise.below(1 << bits)).unwrap();
            // One in three disks ends with a cluster, one with a sector, one anywhere.
            let cut = [0, cut / 512 * 512, cut][usize::try_from(noise.below(3)).unwrap()];
            Plan {
                v2,
                bits,
                extended,
                size: (clusters << bits) - cut,
                kinds,
                zstd: zstd && !v2,
                spare_tables: spare,
                seed,
            }
        },
    )
}

/// Clusters of which some subclusters are stored and some read as zeros: in long runs, and in any order.
fn parts() -> impl Strategy<Value = Kind> {
    let bits = prop_oneof![any::<u32>(), (0..33u32, 0..33u32).prop_map(|(from, to)| low(to) & !low(from))];
    (bits, any::<u32>(), any::<u32>())
        .prop_map(|(stored, zero, some)| Kind::Parts { stored, zero: zero & some & !stored })
}

/// The lowest `count` bits.
fn low(count: u32) -> u32 {
    u32::try_from((1u64 << count) - 1).unwrap()
}

/// A file, and the bytes of its layer: `None` where they are the backing file's.
pub(crate) struct Built {
    /// The file.
    pub(crate) file: Vec<u8>,
    /// The disk.
    pub(crate) bytes: Vec<Option<u8>>,
}

/// Something that takes host clusters.
enum Item {
    /// The L1 table.
    L1,
    /// The L2 table of this number.
    L2(usize),
    /// The guest cluster of this number.
    Cluster(usize),
    /// All compressed streams.
    Streams,
    /// The refcount table, which is empty.
    Refcounts,
}

/// Where everything is.
#[derive(Default)]
struct Places {
    /// The L1 table.
    l1: u64,
    /// The L2 tables; 0 where there is none.
    l2: Vec<u64>,
    /// Guest clusters that are stored, and all others 0.
    clusters: Vec<u64>,
    /// The first byte of the streams.
    streams: u64,
    /// The refcount table.
    refcounts: u64,
}

/// The compressed streams: all bytes, and for each cluster the place and the length of its stream.
struct Streams {
    /// The bytes.
    bytes: Vec<u8>,
    /// The places.
    places: Vec<(usize, usize)>,
}

impl Plan {
    /// Builds the file, which names `backing` if that is given.
    pub(crate) fn build(&self, backing: Option<&str>) -> Built {
        let mut noise = Noise(self.seed | 1);
        let contents: Vec<Vec<u8>> = self.kinds.iter().map(|&kind| self.content(kind, &mut noise)).collect();
        let streams = self.streams(&contents, &mut noise);
        let (places, len) = self.place(&streams, &mut noise);
        let mut file = vec![0xcd; len];
        put(&mut file, 0, &vec![0; self.cluster()]);
        put(&mut file, 0, &self.header(&places, backing));
        put(&mut file, places.refcounts, &vec![0; self.cluster()]);
        put(&mut file, places.streams, &streams.bytes);
        for (content, &host) in contents.iter().zip(&places.clusters).filter(|(_, host)| **host != 0) {
            put(&mut file, host, content);
        }
        self.put_tables(&mut file, &places, &streams, &mut noise);
        let bytes = self.kinds.iter().zip(&contents).flat_map(|(&kind, content)| match kind {
            Kind::Absent => vec![None; content.len()],
            Kind::Zero | Kind::ZeroAllocated => vec![Some(0); content.len()],
            Kind::Data | Kind::Compressed => content.iter().copied().map(Some).collect(),
            Kind::Parts { stored, zero } => self.shown(content, stored, zero),
        });
        Built { file, bytes: bytes.take(self.size).collect() }
    }

    /// Bytes of a cluster.
    fn cluster(&self) -> usize {
        1 << self.bits
    }

    /// What a cluster of subclusters shows.
    fn shown(&self, content: &[u8], stored: u32, zero: u32) -> Vec<Option<u8>> {
        let part = self.cluster() / 32;
        let of = |(at, &byte): (usize, &u8)| match (stored >> (at / part) & 1, zero >> (at / part) & 1) {
            (1, _) => Some(byte),
            (_, 1) => Some(0),
            _ => None,
        };
        content.iter().enumerate().map(of).collect()
    }

    /// Bytes of an entry of an L2 table.
    fn entry_len(&self) -> usize {
        if self.extended { 16 } else { 8 }
    }

    /// Entries of an L2 table.
    fn per_table(&self) -> usize {
        self.cluster() / self.entry_len()
    }

    /// What a cluster holds, on the host or once decoded.
    fn content(&self, kind: Kind, noise: &mut Noise) -> Vec<u8> {
        let mut bytes = vec![0xee; self.cluster()];
        match kind {
            Kind::Data | Kind::Parts { .. } => noise.fill(&mut bytes),
            Kind::Compressed => noise.text(&mut bytes),
            _ => {}
        }
        bytes
    }

    /// Compresses what is to be compressed, and packs the streams in random order with gaps here and there.
    fn streams(&self, contents: &[Vec<u8>], noise: &mut Noise) -> Streams {
        let mut order: Vec<usize> = (0..contents.len()).filter(|&i| self.kinds[i] == Kind::Compressed).collect();
        shuffle(&mut order, noise);
        let mut streams = Streams { bytes: vec![0xcc; below(noise, 700)], places: vec![(0, 0); contents.len()] };
        for index in order {
            let stream = if self.zstd { zstd(&contents[index]) } else { deflate(&contents[index]) };
            streams.places[index] = (streams.bytes.len(), stream.len());
            streams.bytes.extend(stream);
            let gap = [0, 0, 1, 600][below(noise, 4)];
            streams.bytes.extend(std::iter::repeat_n(0xcc, gap));
        }
        streams
    }

    /// Gives everything its clusters, in random order; returns the length of the file too.
    fn place(&self, streams: &Streams, noise: &mut Noise) -> (Places, usize) {
        let tables = self.kinds.len().div_ceil(self.per_table());
        let mut items = vec![Item::L1, Item::Streams, Item::Refcounts];
        for (number, kinds) in self.kinds.chunks(self.per_table()).enumerate() {
            // A table without entries may be left out.
            if kinds.iter().any(|&kind| kind != Kind::Absent) || below(noise, 2) == 0 {
                items.push(Item::L2(number));
            }
        }
        let stored = |kind| match kind {
            Kind::Data | Kind::ZeroAllocated => true,
            Kind::Parts { stored, zero } => stored != 0 || zero & 1 != 0,
            _ => false,
        };
        items.extend((0..self.kinds.len()).filter(|&i| stored(self.kinds[i])).map(Item::Cluster));
        // Some files keep the order, so that clusters that touch become one extent.
        if below(noise, 3) > 0 {
            shuffle(&mut items, noise);
        }
        let mut places = Places { l2: vec![0; tables], clusters: vec![0; self.kinds.len()], ..Places::default() };
        let mut next = self.cluster();
        for item in items {
            let host = next as u64;
            let len = match item {
                Item::L1 => (tables + self.spare_tables) * 8,
                Item::Streams => streams.bytes.len(),
                _ => self.cluster(),
            };
            match item {
                Item::L1 => places.l1 = host,
                Item::L2(number) => places.l2[number] = host,
                Item::Cluster(number) => places.clusters[number] = host,
                Item::Streams => places.streams = host,
                Item::Refcounts => places.refcounts = host,
            }
            let gap = usize::from(below(noise, 8) == 0);
            next += (len.div_ceil(self.cluster()) + gap) * self.cluster();
        }
        (places, next)
    }

    /// Writes the L1 and L2 tables.
    fn put_tables(&self, file: &mut [u8], places: &Places, streams: &Streams, noise: &mut Noise) {
        put(file, places.l1, &vec![0; (places.l2.len() + self.spare_tables) * 8]);
        for (number, &table) in places.l2.iter().enumerate().filter(|(_, table)| **table != 0) {
            put(file, places.l1 + number as u64 * 8, &(table | copied(noise)).to_be_bytes());
            put(file, table, &vec![0; self.cluster()]);
        }
        for (index, &kind) in self.kinds.iter().enumerate() {
            let host = places.clusters[index];
            // In extended images, bit 0 is reserved.
            let flag = if self.extended { below(noise, 2) as u64 } else { 1 };
            let all = u64::from(u32::MAX);
            let (entry, bitmap) = match kind {
                Kind::Absent => continue,
                Kind::Zero => (flag, all << 32),
                Kind::ZeroAllocated => (host | copied(noise) | flag, all << 32),
                Kind::Data => (host | copied(noise), all),
                Kind::Compressed => (self.compressed_entry(places.streams, streams.places[index]), 0),
                Kind::Parts { stored, zero } => (host | copied(noise), u64::from(stored) | u64::from(zero) << 32),
            };
            let at = places.l2[index / self.per_table()] + (index % self.per_table() * self.entry_len()) as u64;
            put(file, at, &entry.to_be_bytes());
            if self.extended {
                put(file, at + 8, &bitmap.to_be_bytes());
            }
        }
    }

    /// The L2 entry of a compressed cluster.
    fn compressed_entry(&self, streams: u64, (at, len): (usize, usize)) -> u64 {
        let first = streams + at as u64;
        let last = first + len as u64 - 1;
        (1 << 62) | (last / 512 - first / 512) << (62 - (self.bits - 8)) | first
    }

    /// The header with its extensions and the name of the backing file.
    fn header(&self, places: &Places, backing: Option<&str>) -> Vec<u8> {
        let length: u32 = if self.v2 { 72 } else { 112 };
        let mut extensions = Vec::new();
        if backing.is_some() {
            extensions.extend([&0xe279_2acau32.to_be_bytes()[..], &5u32.to_be_bytes(), b"qcow2\0\0\0"].concat());
        }
        extensions.extend([0; 8]);
        let name = backing.unwrap_or_default().as_bytes();
        let name_at = if name.is_empty() { 0 } else { u64::from(length) + extensions.len() as u64 };
        let l1_size = places.l2.len() + self.spare_tables;
        let mut header = b"QFI\xfb".to_vec();
        header.extend(if self.v2 { 2u32 } else { 3 }.to_be_bytes());
        header.extend(name_at.to_be_bytes());
        header.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
        header.extend(self.bits.to_be_bytes());
        header.extend((self.size as u64).to_be_bytes());
        header.extend(0u32.to_be_bytes());
        header.extend(u32::try_from(l1_size).unwrap().to_be_bytes());
        header.extend(places.l1.to_be_bytes());
        header.extend(places.refcounts.to_be_bytes());
        header.extend(1u32.to_be_bytes());
        header.extend([0; 12]);
        if !self.v2 {
            header.extend((u64::from(self.zstd) << 3 | u64::from(self.extended) << 4).to_be_bytes());
            header.extend([0; 16]);
            header.extend(4u32.to_be_bytes());
            header.extend(length.to_be_bytes());
            header.extend([u8::from(self.zstd), 0, 0, 0, 0, 0, 0, 0]);
        }
        [&header[..], &extensions, name].concat()
    }
}

/// A bare deflate stream.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A Zstandard frame.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0; bytes.len() + 1000];
    let compression = Compression::new(Codec::Zstd, stream.len());
    let len = Encoder::new(&compression).unwrap().encode(bytes, &mut stream).unwrap().unwrap();
    stream.truncate(len);
    stream
}

/// The COPIED bit, which a reader does not look at, or not.
fn copied(noise: &mut Noise) -> u64 {
    noise.below(2) << 63
}

/// Writes `bytes` at host byte `at`.
fn put(file: &mut [u8], at: u64, bytes: &[u8]) {
    let at = usize::try_from(at).unwrap();
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A number below `end`.
fn below(noise: &mut Noise, end: usize) -> usize {
    usize::try_from(noise.below(end as u64)).unwrap()
}

/// Brings `items` into another order.
fn shuffle<T>(items: &mut [T], noise: &mut Noise) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(noise, last + 1));
    }
}
