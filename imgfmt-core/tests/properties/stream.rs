//! The engine puts every byte of a stream in its place, whatever the parts that the stream hands out.

use std::num::NonZeroUsize;

use imgfmt_core::codec::{Compression, Encoder};
use imgfmt_core::convert::Convert;
use imgfmt_core::{Codec, ImageStream, Order, Result, Shape, StreamForm, StreamPart};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::config;
use crate::noise::Noise;
use crate::recorder::Recorder;

/// What a stream hands out next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Nothing, for this many guest bytes: they are zero.
    Gap(usize),
    /// Zeros, said to be.
    Zero(usize),
    /// Bytes as they are, noise or zeros.
    Plain(usize, bool),
    /// One compressed unit, at the next place where one can be.
    Unit(Codec),
}

/// A stream that follows steps.
struct Feed {
    /// What is left to hand out, with its start: guest bytes or the unit's stream.
    parts: Vec<(u64, u64, Fed)>,
    /// Guest bytes of the disk.
    size: u64,
    /// Whether the size is known before the end.
    knows: bool,
    /// Guest bytes of a compressed unit.
    unit: usize,
}

/// What the bytes of a part are.
#[derive(Clone)]
enum Fed {
    /// None.
    Zero,
    /// Guest bytes.
    Plain(Vec<u8>),
    /// A unit.
    Unit(Codec, Vec<u8>),
}

impl Feed {
    /// The stream of `steps`, and the disk that it makes.
    fn new(steps: &[Step], unit: usize, knows: bool, seed: u64) -> (Self, Vec<u8>) {
        let mut noise = Noise(seed);
        let (mut parts, mut disk) = (Vec::new(), Vec::new());
        for &step in steps {
            let start = disk.len();
            match step {
                Step::Gap(len) => disk.resize(start + len, 0),
                Step::Zero(len) => {
                    disk.resize(start + len, 0);
                    parts.push((start as u64, len as u64, Fed::Zero));
                }
                Step::Plain(len, zeros) => {
                    let bytes = if zeros { vec![0; len] } else { (0..len).map(|_| noise.number() as u8).collect() };
                    disk.extend(&bytes);
                    parts.push((start as u64, len as u64, Fed::Plain(bytes)));
                }
                Step::Unit(codec) => {
                    disk.resize(start.next_multiple_of(unit), 0);
                    let bytes: Vec<u8> = (0..unit).map(|i| (i / 7) as u8 & noise.number() as u8).collect();
                    let mut stream = vec![0; unit * 2 + 100];
                    let compression = Compression::new(codec, stream.len());
                    let len = Encoder::new(&compression).unwrap().encode(&bytes, &mut stream).unwrap().unwrap();
                    stream.truncate(len);
                    parts.push((disk.len() as u64, unit as u64, Fed::Unit(codec, stream)));
                    disk.extend(&bytes);
                }
            }
        }
        parts.reverse();
        (Self { parts, size: disk.len() as u64, knows, unit }, disk)
    }
}

impl ImageStream for Feed {
    fn size(&self) -> Option<u64> {
        (self.knows || self.parts.is_empty()).then_some(self.size)
    }

    fn unit(&self) -> u64 {
        self.unit as u64
    }

    fn next_part(&mut self, bytes: &mut Vec<u8>, max: u64) -> Result<Option<StreamPart>> {
        assert!(max > 0, "nothing is asked for");
        let Some((start, len, fed)) = self.parts.pop() else { return Ok(None) };
        let form = match fed {
            Fed::Zero => StreamForm::Zero,
            Fed::Plain(mut plain) => {
                let rest = plain.split_off(plain.len().min(max as usize));
                bytes.extend(&plain);
                let here = plain.len() as u64;
                if !rest.is_empty() {
                    self.parts.push((start + here, len - here, Fed::Plain(rest)));
                }
                return Ok(Some(StreamPart { start, len: here, form: StreamForm::Plain }));
            }
            Fed::Unit(codec, stream) => {
                // Something that frames the stream, and does not belong to it.
                bytes.extend([0xf0; 5]);
                let body = bytes.len()..bytes.len() + stream.len();
                bytes.extend(&stream);
                StreamForm::Encoded { codec, unit: self.unit as u32, body }
            }
        };
        Ok(Some(StreamPart { start, len, form }))
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn every_byte_of_a_stream_is_placed_once(
        steps in vec(steps(), 0..12),
        (unit_bits, writer_bits) in (9..17u32, 9..18u32),
        codec in option::of(codecs()),
        (ordered, zeros_as_data, knows, threads, seed) in (any::<bool>(), any::<bool>(), any::<bool>(), 1..5usize, any::<u64>()),
    ) {
        let unit = 1 << writer_bits;
        let shape = Shape {
            unit,
            order: if ordered { Order::Ordered } else { Order::Random },
            compression: codec.map(|codec| Compression::new(codec, unit as usize + 100)),
            pads_last: codec.is_some(),
            stores_plain: codec.is_none(),
            zeros_as_data,
        };
        let (mut stream, disk) = Feed::new(&steps, 1 << unit_bits, knows, seed);
        let (writer, record) = Recorder::writer(disk.len() as u64, shape, seed);
        let convert = Convert { threads: NonZeroUsize::new(threads).unwrap(), ..Convert::default() };
        let progress = convert.run_stream(&mut stream, writer).unwrap();
        assert_eq!((progress.size, progress.done), (disk.len() as u64, disk.len() as u64));
        let record = record.lock().unwrap();
        assert!(record.finished);
        assert!(record.put_together(&shape, &[]) == disk, "the bytes differ");
    }
}

/// Steps of a stream.
fn steps() -> impl Strategy<Value = Step> {
    let lens = || prop_oneof![1..70_000usize, (1..40usize).prop_map(|blocks| blocks * 65_536)];
    prop_oneof![
        2 => lens().prop_map(Step::Gap),
        1 => lens().prop_map(Step::Zero),
        3 => (lens(), any::<bool>()).prop_map(|(len, zeros)| Step::Plain(len, zeros)),
        4 => codecs().prop_map(Step::Unit),
    ]
}

/// Every codec.
fn codecs() -> impl Strategy<Value = Codec> {
    prop_oneof![Just(Codec::Deflate), Just(Codec::Zlib), Just(Codec::Zstd)]
}
