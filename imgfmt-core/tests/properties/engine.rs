//! The engine puts every byte in its place, once, whatever the source, the writer and the threads are like.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use imgfmt_core::codec::Compression;
use imgfmt_core::convert::{Cancel, Convert, is_zero};
use imgfmt_core::{Codec, Extent, Form, Image, ImageExt, Order, Piece, Shape};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::chain::{chain_of, flattened};
use crate::config;
use crate::layer::{Layer, Plan, plans};
use crate::recorder::{Record, Recorder};

/// A conversion.
#[derive(Clone, Debug)]
struct Case {
    /// The layers of the source.
    plans: Vec<Plan>,
    /// log2 of the writer's unit.
    unit_bits: u32,
    /// How the writer compresses.
    codec: Option<(Codec, Option<i32>, usize)>,
    /// Whether pieces are stored in order.
    ordered: bool,
    /// Whether the last piece is padded.
    pads_last: bool,
    /// Whether zeros are stored like anything else.
    zeros_as_data: bool,
    /// Which zeros are found.
    zero_grain: Option<u64>,
    /// Which layers are left to a backing file.
    absent_from: Option<u16>,
    /// Whether compressed units are passed on unseen.
    trust_encoded: bool,
    /// Bytes in flight.
    in_flight: u64,
    /// Threads of the second run.
    threads: usize,
    /// What the rest follows from.
    seed: u64,
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn every_byte_is_placed_once(case in cases()) {
        let layers: Vec<Layer> = case.plans.iter().map(Layer::new).collect();
        let chain = chain_of(&layers);
        let (bytes, answers) = flattened(&layers);
        let record = case.convert(&chain, 1);
        assert!(record.put_together(&case.shape(), &bytes) == bytes, "the bytes differ");
        let mut extents = Vec::new();
        chain.visit_extents(0..chain.size(), &mut |extent| { extents.push(extent); Ok(()) }).unwrap();
        case.check_forms(&record, &bytes, &answers, &extents);
        let other = case.convert(&chain, case.threads);
        assert_eq!(other.pieces, record.pieces, "{} threads place otherwise than one", case.threads);
        assert!(other.stored == record.stored, "{} threads store otherwise than one", case.threads);
    }

    #[test]
    fn the_first_error_stops_the_rest(case in cases(), hole in any::<proptest::sample::Index>()) {
        // A layer that leaves a run to a parent, and stands alone.
        let mut plan = case.plans[0].clone();
        let at = hole.index(plan.runs.len() + 1);
        plan.runs.insert(at, (3000, crate::layer::Kind::Parent));
        let layer = Layer::new(&plan);
        let (writer, record) = Recorder::writer(layer.size(), case.shape(), case.seed);
        let convert = Convert { absent_from: None, ..case.options(case.threads) };
        let error = convert.run(&layer, writer).unwrap_err();
        assert_eq!(error.kind(), imgfmt_core::ErrorKind::Malformed);
        assert!(!record.lock().unwrap().finished, "a writer was finished after an error");
    }

    #[test]
    fn a_cancelled_conversion_is_not_finished(case in cases(), after in 0..4u64) {
        let chain = chain_of(&case.plans.iter().map(Layer::new).collect::<Vec<_>>());
        let (writer, record) = Recorder::writer(chain.size(), case.shape(), case.seed);
        let cancel = Cancel::default();
        let stored = Mutex::new(0);
        let stop = |_| {
            let mut stored = stored.lock().unwrap();
            *stored += 1;
            if *stored > after {
                cancel.cancel();
            }
        };
        let convert = Convert { progress: Some(&stop), cancel: cancel.clone(), ..case.options(case.threads) };
        match convert.run(&chain, writer) {
            // It may have been done before it was cancelled.
            Ok(progress) => assert_eq!(progress.done, chain.size()),
            Err(error) => {
                assert_eq!(error.kind(), imgfmt_core::ErrorKind::Cancelled);
                assert!(!record.lock().unwrap().finished);
            }
        }
    }
}

impl Case {
    /// The writer's shape.
    fn shape(&self) -> Shape {
        let unit = 1 << self.unit_bits;
        let compression = self.codec.map(|(codec, level, spare)| Compression {
            level,
            ..Compression::new(codec, usize::try_from(unit).unwrap() - 1 + spare)
        });
        Shape {
            unit,
            order: if self.ordered { Order::Ordered } else { Order::Random },
            compression,
            pads_last: self.pads_last,
            stores_plain: true,
            zeros_as_data: self.zeros_as_data,
        }
    }

    /// How to convert with `threads` threads.
    fn options(&self, threads: usize) -> Convert<'static> {
        Convert {
            threads: NonZeroUsize::new(threads).unwrap(),
            in_flight: self.in_flight,
            zero_grain: self.zero_grain,
            absent_from: self.absent_from,
            trust_encoded: self.trust_encoded,
            ..Convert::default()
        }
    }

    /// Converts `source` with `threads` threads.
    fn convert(&self, source: &dyn Image, threads: usize) -> Record {
        let (writer, record) = Recorder::writer(source.size(), self.shape(), self.seed);
        let last = Mutex::new(0);
        let watch = |progress: imgfmt_core::convert::Progress| {
            let mut last = last.lock().unwrap();
            assert!(progress.done <= progress.size && progress.size == source.size());
            *last = progress.done.max(*last);
        };
        let convert = Convert { progress: Some(&watch), ..self.options(threads) };
        let progress = convert.run(source, writer).unwrap();
        assert_eq!((progress.done, progress.size), (source.size(), source.size()));
        assert_eq!(*last.lock().unwrap(), source.size());
        let record = Arc::into_inner(record).unwrap().into_inner().unwrap();
        assert!(record.finished);
        let stored: u64 = record.stored.values().map(|bytes| bytes.len() as u64).sum();
        assert_eq!(progress.stored, stored);
        record
    }

    /// Bytes that are decided about as one: the writer's unit, or the longer run of zeros that is looked for.
    fn grain(&self) -> u64 {
        let grain = self.zero_grain.filter(|_| self.codec.is_none()).unwrap_or(0);
        self.shape().unit.max(grain).next_power_of_two()
    }

    /// Checks that every part of the disk has the form that it should have.
    fn check_forms(&self, record: &Record, bytes: &[u8], answers: &[u16], extents: &[Extent]) {
        for start in (0..bytes.len() as u64).step_by(usize::try_from(self.grain()).unwrap()) {
            let range = start..(start + self.grain()).min(bytes.len() as u64);
            let in_memory = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            let below = |&layer: &u16| self.absent_from.is_some_and(|from| layer >= from);
            let below: Vec<bool> = answers[in_memory.clone()].iter().map(below).collect();
            let mut touched = extents.iter().filter(|extent| extent.start < range.end && range.start < extent.end());
            let part = Part {
                zero: is_zero(&bytes[in_memory]),
                known_zero: touched.all(Extent::is_zero),
                below: (below.contains(&true), !below.contains(&false)),
            };
            let pieces = record.pieces.iter().map(|(piece, _)| piece);
            for piece in pieces.filter(|piece| piece.guest < range.end && range.start < piece.guest + piece.len) {
                self.check_form(piece, &part);
            }
        }
    }

    /// Checks that `piece` may have its form, of which `part` is a part.
    fn check_form(&self, piece: &Piece, part: &Part) {
        let absent = piece.form == Form::Absent;
        assert_eq!(absent, part.below.1, "{piece:?}: what lies below, and nothing else, is left to it: {part:?}");
        if absent {
            return;
        }
        if piece.form == Form::Zero {
            assert!(part.zero, "{piece:?} is not zero");
            assert!(!self.zeros_as_data, "{piece:?} should be stored");
            assert!(self.zero_grain.is_some() || part.known_zero, "{piece:?} was looked at");
        } else if !self.zeros_as_data {
            assert!(!part.known_zero || part.below.0, "{piece:?} is known to be zero, and stored");
            let trusted = self.trust_encoded && self.codec.is_some();
            assert!(!part.zero || self.zero_grain.is_none() || trusted, "{piece:?} is zero, and stored");
        }
    }
}

/// A part of the disk that is decided about as one.
#[derive(Debug)]
struct Part {
    /// Whether it is all zero.
    zero: bool,
    /// Whether the map says so.
    known_zero: bool,
    /// Whether any of it, and whether all of it, is left to a backing file.
    below: (bool, bool),
}

/// Conversions of small and of large layers.
fn cases() -> impl Strategy<Value = Case> {
    let layers = prop_oneof![
        proptest::collection::vec(plans(14, 9000, true), 1..4),
        proptest::collection::vec(plans(7, 800_000, true), 1..3),
    ];
    let codecs = prop_oneof![Just(Codec::Deflate), Just(Codec::Zlib), Just(Codec::Zstd)];
    let codecs = (codecs, option::of(1..4i32), prop_oneof![Just(0), 1..700usize]);
    let writer = (9..17u32, option::of(codecs), any::<bool>(), any::<bool>(), proptest::bool::weighted(0.2));
    let grains = option::weighted(0.8, prop_oneof![(0..18u32).prop_map(|bits| 1 << bits), 1..200_000u64]);
    let in_flight = prop_oneof![Just(0), Just(4 << 20), Just(64 << 20)];
    let how = (grains, option::of(0..4u16), any::<bool>(), in_flight, 2..7usize, any::<u64>());
    (layers, writer, how).prop_map(|(plans, writer, how)| Case {
        plans,
        unit_bits: writer.0,
        codec: writer.1,
        ordered: writer.2,
        pads_last: writer.3,
        zeros_as_data: writer.4,
        zero_grain: how.0,
        absent_from: how.1,
        trust_encoded: how.2,
        in_flight: how.3,
        threads: how.4,
        seed: how.5,
    })
}
