//! An image made by hand: random runs of every kind of extent, stored in random order in several sources.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::codec::{Compression, Encoder};
use imgfmt_core::{
    Codec, Description, Encoded, Error, ErrorKind, ExtentKind, ExtentSink, Image, MemoryStorage, Result, SourceId,
    Storage,
};
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use crate::noise::Noise;

/// What a run of a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Stored as it is: noise.
    Data,
    /// Stored as it is, and zero all the same.
    DataZeros,
    /// Stored compressed.
    Encoded(Codec),
    /// Zero, by an entry or for want of one.
    Zero(bool),
    /// In the layer below.
    Parent,
    /// Only to be had by reading.
    Opaque,
}

/// The plan of a layer: its runs, and the number that everything else follows from.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Length and kind of each run.
    pub(crate) runs: Vec<(usize, Kind)>,
    /// What contents and order of storing follow from.
    pub(crate) seed: u64,
}

/// Plans of up to `runs` runs of up to `len` bytes; with runs that are left to a parent or without.
pub(crate) fn plans(runs: usize, len: usize, parents: bool) -> impl Strategy<Value = Plan> {
    let lens = prop_oneof![1..len, (1..len.div_ceil(512) + 1).prop_map(|sectors| sectors * 512)];
    let kinds = prop_oneof![
        4 => Just(Kind::Data),
        1 => Just(Kind::DataZeros),
        1 => Just(Kind::Encoded(Codec::Deflate)),
        1 => Just(Kind::Encoded(Codec::Zlib)),
        1 => Just(Kind::Encoded(Codec::Zstd)),
        2 => any::<bool>().prop_map(Kind::Zero),
        5 => Just(if parents { Kind::Parent } else { Kind::Data }),
        1 => Just(Kind::Opaque),
    ];
    (proptest::collection::vec((lens, kinds), 0..runs), any::<u64>()).prop_map(|(runs, seed)| Plan { runs, seed })
}

/// One byte of a layer: `None` where it is the parent's.
pub(crate) type Byte = Option<u8>;

/// A layer.
#[derive(Clone)]
pub(crate) struct Layer {
    /// The sources; runs are spread over them.
    sources: Vec<Arc<dyn Storage>>,
    /// Where runs start, and what they are.
    runs: Vec<(Range<u64>, ExtentKind)>,
    /// What the guest sees.
    pub(crate) bytes: Vec<Byte>,
    /// Whether the map answers with one extent at a time.
    lazy: bool,
}

impl Layer {
    /// Builds the layer of a plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut noise = Noise(plan.seed);
        let mut stores = [vec![0xee; 7], vec![0xee; 3]];
        let mut runs = Vec::new();
        let mut bytes = Vec::new();
        let mut start = 0;
        for &(len, kind) in &plan.runs {
            let plain = match kind {
                Kind::Zero(_) | Kind::DataZeros => vec![0; len],
                _ => noise.bytes(len, kind != Kind::Data),
            };
            match kind {
                Kind::Parent => bytes.extend(std::iter::repeat_n(None, len)),
                _ => bytes.extend(plain.iter().copied().map(Some)),
            }
            runs.push((start..start + len as u64, plain, kind));
            start += len as u64;
        }
        let order = noise.shuffled((0..runs.len()).collect());
        let mut kinds = vec![ExtentKind::Opaque; runs.len()];
        for index in order {
            let (_, plain, kind) = &runs[index];
            let source = noise.below(stores.len());
            kinds[index] = store(&mut stores[source], u32::try_from(source).unwrap(), plain, *kind);
        }
        let runs = runs.into_iter().zip(kinds).map(|((range, ..), kind)| (range, kind)).collect();
        let sources = stores.into_iter().map(|store| Arc::new(MemoryStorage::new(store)) as Arc<dyn Storage>);
        Self { sources: sources.collect(), runs, bytes, lazy: plan.seed.is_multiple_of(2) }
    }

    /// The guest bytes of a layer that leaves nothing to a parent.
    pub(crate) fn flat(&self) -> Vec<u8> {
        self.bytes.iter().map(|byte| byte.unwrap()).collect()
    }
}

/// Stores a run in `store` and says where it is.
fn store(store: &mut Vec<u8>, source: u32, plain: &[u8], kind: Kind) -> ExtentKind {
    let host = store.len() as u64;
    let source = SourceId(source);
    match kind {
        Kind::Data | Kind::DataZeros => {
            store.extend(plain);
            ExtentKind::Data { source, host }
        }
        Kind::Encoded(codec) => {
            let mut stream = vec![0; plain.len() + 1000];
            let len = Encoder::new(&Compression::new(codec, stream.len())).unwrap().encode(plain, &mut stream);
            stream.truncate(len.unwrap().unwrap());
            // A frame of four bytes, which `stored_body` finds again, and room behind as in whole sectors.
            store.extend(b"unit");
            store.extend(&stream);
            let stored_len = u32::try_from(stream.len() + 4 + host as usize % 3).unwrap();
            store.extend([0xaa; 2]);
            let unit = u32::try_from(plain.len()).unwrap();
            ExtentKind::Encoded(Encoded { source, host, stored_len, codec, unit, skip: 0 })
        }
        Kind::Zero(explicit) => ExtentKind::Zero { explicit },
        Kind::Parent => ExtentKind::Parent,
        Kind::Opaque => ExtentKind::Opaque,
    }
}

impl Image for Layer {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let first = self.runs.partition_point(|(run, _)| run.end <= range.start);
        for (run, kind) in &self.runs[first..] {
            if sink.is_full() || run.start >= range.end {
                break;
            }
            sink.push(run.start, run.end - run.start, *kind);
            if self.lazy {
                break;
            }
        }
        Ok(())
    }

    fn stored_body(&self, unit_start: u64, unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        // The unit has to be known by its start, and by its own source and place.
        let known = self.runs.iter().any(|(run, kind)| {
            let own = matches!(kind, ExtentKind::Encoded(own) if *own == Encoded { skip: 0, ..*unit });
            own && run.start == unit_start
        });
        assert!(known && stored.starts_with(b"unit"), "no unit starts at {unit_start}");
        Ok(4..stored.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let start = usize::try_from(offset).unwrap();
        if start + buf.len() > self.bytes.len() {
            return Err(Error::out_of_bounds("a read passes the end of the layer"));
        }
        for (to, byte) in buf.iter_mut().zip(&self.bytes[start..]) {
            *to = byte.ok_or_else(|| Error::new(ErrorKind::Missing, "a byte is in the parent"))?;
        }
        Ok(())
    }

    fn describe(&self) -> Description {
        Description { format: "layer", ..Description::default() }
    }
}
