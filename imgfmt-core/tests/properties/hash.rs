//! The hash of a disk is that of its bytes, whatever it is made of and however many threads hash it.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use imgfmt_core::convert::Convert;
use imgfmt_core::hash::{Hasher, hash};
use imgfmt_core::{HashAlgorithm, HashValue, Image, Shape};
use proptest::prelude::{any, proptest};
use sha2::{Digest, Sha256, Sha512};

use crate::config;
use crate::layer::{Kind, Layer, Plan, plans};
use crate::recorder::Recorder;

/// The hashes of `bytes`, by others.
fn expected(bytes: &[u8]) -> Vec<HashValue> {
    let value = |algorithm, bytes: &[u8]| HashValue { algorithm, bytes: bytes.to_vec() };
    vec![
        value(HashAlgorithm::Sha256, &Sha256::digest(bytes)),
        value(HashAlgorithm::Sha512, &Sha512::digest(bytes)),
        value(HashAlgorithm::Blake3, blake3::hash(bytes).as_bytes()),
    ]
}

/// The hashes of `image`, with so many threads.
fn hashed(image: &dyn Image, algorithms: &[HashAlgorithm], threads: usize) -> Vec<HashValue> {
    let engine = Convert { threads: NonZeroUsize::new(threads).unwrap(), ..Convert::default() };
    hash(image, algorithms, &engine).unwrap()
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn layouts_do_not_matter(plan in plans(8, 600_000, false), threads in 1_usize..5) {
        let layer = Layer::new(&plan);
        let wanted = expected(&layer.flat());
        assert_eq!(hashed(&layer, &HashAlgorithm::ALL, threads), wanted);
        assert_eq!(hashed(&layer, &[HashAlgorithm::Blake3], threads), wanted[2..]);
    }

    #[test]
    fn what_is_converted_is_hashed_on_the_way(
        plan in plans(8, 300_000, false),
        threads in 1_usize..5,
        zero_grain in any::<bool>(),
        absent in any::<bool>(),
    ) {
        let layer = Layer::new(&plan);
        let shape = Shape {
            unit: 4096, order: imgfmt_core::Order::Random, compression: None,
            pads_last: true, stores_plain: false, zeros_as_data: false,
        };
        let hasher = Mutex::new(Hasher::new(&HashAlgorithm::ALL));
        let engine = Convert {
            threads: NonZeroUsize::new(threads).unwrap(),
            zero_grain: zero_grain.then_some(512),
            absent_from: absent.then_some(0),
            hasher: Some(&hasher),
            ..Convert::default()
        };
        let (writer, _) = Recorder::writer(layer.size(), shape, plan.seed);
        engine.run(&layer, writer).unwrap();
        assert_eq!(hasher.into_inner().unwrap().finish(), expected(&layer.flat()));
    }
}

#[test]
fn trees_of_every_size_have_the_right_root() {
    for groups in [1, 2, 3, 5, 8] {
        for tail in [0, 1, 500_000] {
            let len = groups * (1 << 20) + tail;
            let runs = vec![(len / 2, Kind::Zero(false)), (len - len / 2, Kind::Data)];
            let layer = Layer::new(&Plan { runs, seed: len as u64 });
            assert_eq!(hashed(&layer, &[HashAlgorithm::Blake3], 3), expected(&layer.flat())[2..], "{len}");
        }
    }
}
