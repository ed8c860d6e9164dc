//! Raw files with holes anywhere show their bytes, and are copied whatever the grain of zeros.

// For tests alone, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod files;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod pipes;

use std::num::NonZeroUsize;

use imgfmt_core::conformance::{check_image, read_all};
use imgfmt_core::convert::{Convert, KernelCopy};
use imgfmt_core::{ErrorKind, ExtentKind, ImageExt};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use files::{Sparse, check_sparse, config, open, sparse, write};

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn holes_are_zero_and_everything_else_is_as_stored(file in sparse()) {
        let image = open(&file.file());
        check_image(image.as_ref(), Some(&file.bytes), "raw");
        image.visit_extents(0..image.size(), &mut |extent| {
            match extent.kind {
                ExtentKind::Data { host, .. } => assert_eq!(host, extent.start),
                kind => assert_eq!(kind, ExtentKind::Zero { explicit: false }),
            }
            Ok(())
        }).unwrap();
    }

    #[test]
    fn reads_pass_no_border(file in sparse(), start in any::<u64>(), len in 0..5000u64) {
        let image = open(&file.file());
        let start = start % (image.size() + 2000);
        let mut buf = vec![0xa5; usize::try_from(len).unwrap()];
        match image.read_at(&mut buf, start) {
            Ok(()) => {
                assert!(start + len <= image.size());
                let start = usize::try_from(start).unwrap();
                assert!(buf == file.bytes[start..start + buf.len()]);
            }
            Err(error) => {
                assert!(start + len > image.size());
                assert_eq!(error.kind(), ErrorKind::OutOfBounds);
            }
        }
    }

    #[test]
    fn copies_are_equal_whatever_is_done_about_zeros(
        file in sparse(),
        grain in option::of(prop_oneof![(0..22u32).prop_map(|bits| 1 << bits), 1..1_000_000u64]),
        options in prop_oneof![Just(""), Just("preallocation=falloc"), Just("preallocation=full")],
        kernel_copy in prop_oneof![Just(KernelCopy::Auto), Just(KernelCopy::Always), Just(KernelCopy::Never)],
        over_noise in any::<bool>(),
        threads in 1..6usize,
    ) {
        let convert = Convert {
            threads: NonZeroUsize::new(threads).unwrap(),
            zero_grain: grain,
            kernel_copy,
            ..Convert::default()
        };
        let source = open(&file.file());
        // A target that is not known to be zero holds something else, and is longer.
        let old = over_noise.then(|| Sparse { bytes: vec![0xbb; file.bytes.len() + 70_000], runs: Vec::new() });
        let copy = write(source.as_ref(), options, &convert, old.as_ref().map(|old| old.bytes.as_slice()));
        let copied = open(&copy);
        assert!(read_all(copied.as_ref()) == file.bytes, "the copy differs");
        if options.is_empty() && !over_noise && kernel_copy == KernelCopy::Never {
            check_sparse(copied.as_ref(), &file.bytes, grain);
        }
    }
}
