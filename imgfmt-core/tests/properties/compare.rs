//! Two disks are compared as their byte vectors are, whatever they are made of and however many threads do it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use imgfmt_core::conformance::PlainImage;
use imgfmt_core::convert::Cancel;
use imgfmt_core::{Compare, Comparison, Image, MemoryStorage};
use proptest::prelude::{any, proptest};

use crate::config;
use crate::layer::{Layer, plans};

/// Compares with so many threads.
fn compare(first: &dyn Image, second: &dyn Image, strict: bool, threads: usize) -> Comparison {
    let threads = NonZeroUsize::new(threads).unwrap();
    Compare { strict, threads, progress: None, cancel: Cancel::default() }.run(first, second).unwrap()
}

/// What comparing byte vectors says.
fn expected(first: &[u8], second: &[u8]) -> Comparison {
    let len = first.len().max(second.len());
    let byte = |bytes: &[u8], at: usize| bytes.get(at).copied().unwrap_or(0);
    match (0..len).find(|&at| byte(first, at) != byte(second, at)) {
        Some(at) => Comparison::Differs { offset: (at / 512 * 512) as u64 },
        None => Comparison::Identical { sizes_differ: first.len() != second.len() },
    }
}

/// A disk of these bytes.
fn plain(bytes: &[u8]) -> PlainImage {
    PlainImage::new(Arc::new(MemoryStorage::new(bytes)))
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn layouts_do_not_matter_and_bytes_do(
        plan in plans(8, 200_000, false),
        other in plans(8, 200_000, false),
        change in any::<Option<(proptest::sample::Index, u8)>>(),
        tail in 0_usize..3_000,
        threads in 1_usize..5,
    ) {
        let layer = Layer::new(&plan);
        let mut bytes = layer.flat();
        bytes.resize(bytes.len() + tail, 0);
        if let Some((index, value)) = change && !bytes.is_empty() {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let wanted = expected(&layer.flat(), &bytes);
        assert_eq!(compare(&layer, &plain(&bytes), false, threads), wanted);
        assert_eq!(compare(&plain(&bytes), &layer, false, 1), wanted);
        let second = Layer::new(&other);
        assert_eq!(compare(&layer, &second, false, threads), expected(&layer.flat(), &second.flat()));
    }
}

#[test]
fn strictly_sizes_and_what_is_stored_matter() {
    use crate::layer::{Kind, Plan};
    let layer = |runs: &[(usize, Kind)]| Layer::new(&Plan { runs: runs.to_vec(), seed: 2 });
    let stored = layer(&[(8192, Kind::DataZeros), (4096, Kind::Zero(true))]);
    let absent = layer(&[(4096, Kind::DataZeros), (8192, Kind::Zero(false))]);
    assert_eq!(compare(&stored, &absent, false, 2), Comparison::Identical { sizes_differ: false });
    assert_eq!(compare(&stored, &absent, true, 2), Comparison::StrictStatus { offset: 4096 });
    assert_eq!(compare(&stored, &layer(&[(8192, Kind::DataZeros)]), true, 2), Comparison::StrictSize);
    assert_eq!(compare(&stored, &stored.clone(), true, 2), Comparison::Identical { sizes_differ: false });
}
