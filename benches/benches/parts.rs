//! The parts that a conversion is made of, each alone: `cargo bench -p imgfmt-benches`.
//!
//! For whole conversions against a peer there is `versus`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use imgfmt::codec::{Compression, Decoder, Encoder};
use imgfmt::convert::{Convert, is_zero};
use imgfmt::{
    Chain, Codec, CreateRequest, DenyAll, FORMATS, Image, ImageExt, Limits, MemoryStorage, MemoryTarget, Opener,
    Options, Storage, Target,
};

/// Bytes of a unit: qcow2's cluster and VMDK's grain.
const UNIT_LEN: usize = 64 << 10;
/// Guest bytes of the disks that are converted.
const DISK_LEN: usize = 64 << 20;

/// Bytes that compress to about a half: words, numbers and noise.
fn mixed(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 64);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state % 4 {
            0 => bytes.extend_from_slice(&state.to_le_bytes()),
            1 => bytes.extend_from_slice(b"the quick brown fox "),
            2 => bytes.extend_from_slice(format!("{:08x} ", state >> 40).as_bytes()),
            _ => bytes.extend_from_slice(&[0; 12]),
        }
    }
    bytes.truncate(len);
    bytes
}

/// How fast zeros are told from data.
fn zeros(c: &mut Criterion) {
    let mut group = c.benchmark_group("is_zero");
    let zeros = vec![0; UNIT_LEN];
    group.throughput(Throughput::Bytes(UNIT_LEN as u64));
    group.bench_function("64 KiB of zeros", |b| b.iter(|| is_zero(black_box(&zeros))));
    group.finish();
}

/// How fast units are encoded and decoded.
fn codecs(c: &mut Criterion) {
    let unit = mixed(UNIT_LEN);
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Bytes(UNIT_LEN as u64));
    for codec in [Codec::Deflate, Codec::Zlib, Codec::Zstd] {
        let mut encoder = Encoder::new(&Compression::new(codec, UNIT_LEN)).expect("the defaults are valid");
        let mut stream = vec![0; UNIT_LEN];
        let len = encoder.encode(&unit, &mut stream).expect("memory suffices").expect("it shrinks");
        group.bench_function(BenchmarkId::new("encode", codec), |b| {
            b.iter(|| encoder.encode(black_box(&unit), &mut stream));
        });
        let mut decoder = Decoder::default();
        let mut plain = vec![0; UNIT_LEN];
        group.bench_function(BenchmarkId::new("decode", codec), |b| {
            b.iter(|| decoder.decode(codec, black_box(&stream[..len]), &mut plain));
        });
    }
    group.finish();
}

/// Opens an image in memory.
fn open(bytes: Vec<u8>, format: &str) -> Chain {
    let limits = Limits::default();
    let opener = Opener::new(FORMATS, &DenyAll, &limits);
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(bytes));
    opener.open(storage, None, Some(format)).expect("the image is valid")
}

/// Converts `source` in memory and returns the new image.
fn convert(source: &dyn Image, format: &str, compress: bool) -> Vec<u8> {
    let limits = Limits::default();
    let opener = Opener::new(FORMATS, &DenyAll, &limits);
    let target = Arc::new(MemoryTarget::new());
    let options = Options::default();
    let request = CreateRequest { compress, ..CreateRequest::new(source.size(), &options) };
    let format = opener.by_name(format).expect("the format is built in");
    let writer = format.create(Arc::clone(&target) as Arc<dyn Target>, &request).expect("the request is valid");
    Convert::default().run(source, writer).expect("memory does not fail");
    target.to_vec()
}

/// Whole conversions in memory, and the walk of a map.
fn engine(c: &mut Criterion) {
    let raw = open(mixed(DISK_LEN), "raw");
    let plain = open(convert(&raw, "qcow2", false), "qcow2");
    let compressed = open(convert(&raw, "qcow2", true), "qcow2");
    let mut group = c.benchmark_group("engine");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(DISK_LEN as u64));
    for (name, source, target, compress) in [
        ("raw to qcow2", &raw, "qcow2", false),
        ("raw to compressed qcow2", &raw, "qcow2", true),
        ("qcow2 to raw", &plain, "raw", false),
        ("compressed qcow2 to raw", &compressed, "raw", false),
        ("compressed qcow2 to the same, passed on", &compressed, "qcow2", true),
    ] {
        group.bench_function(name, |b| b.iter(|| convert(black_box(source), target, compress)));
    }
    group.bench_function("map of a compressed qcow2", |b| {
        b.iter(|| {
            let mut extents = 0;
            let counted = compressed.visit_extents(0..compressed.size(), &mut |_| {
                extents += 1;
                Ok(())
            });
            counted.map(|()| extents)
        });
    });
    group.finish();
}

criterion_group!(parts, zeros, codecs, engine);
criterion_main!(parts);
