//! Disks one behind the other are the concatenation of their bytes.

use imgfmt_core::{Concat, Image};
use proptest::prelude::{any, proptest};

use crate::chain::{chain_of, chains, flattened};
use crate::config;
use crate::layer::{Layer, plans};
use crate::reference::check;

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn disks_follow_each_other(
        plans in proptest::collection::vec(plans(8, 9000, false), 1..5),
        below in chains(),
        seed in any::<u64>(),
    ) {
        let mut disks: Vec<Box<dyn Image>> = Vec::new();
        let mut bytes = Vec::new();
        for plan in &plans {
            let layer = Layer::new(plan);
            bytes.extend(layer.flat());
            disks.push(Box::new(layer));
        }
        // A chain may be one of the disks.
        let layers: Vec<Layer> = below.iter().map(Layer::new).collect();
        bytes.extend(flattened(&layers).0);
        disks.push(Box::new(chain_of(&layers)));
        check(&Concat::new(disks).unwrap(), &bytes, seed);
    }
}

#[test]
fn sizes_that_overflow_are_refused() {
    struct Huge;
    impl Image for Huge {
        fn size(&self) -> u64 {
            u64::MAX / 2 + 1
        }
        fn sources(&self) -> &[std::sync::Arc<dyn imgfmt_core::Storage>] {
            &[]
        }
        fn map(&self, _: std::ops::Range<u64>, _: &mut imgfmt_core::ExtentSink<'_>) -> imgfmt_core::Result<()> {
            Ok(())
        }
        fn stored_body(
            &self,
            _: u64,
            _: &imgfmt_core::Encoded,
            _: &[u8],
        ) -> imgfmt_core::Result<std::ops::Range<usize>> {
            Ok(0..0)
        }
        fn read_at(&self, _: &mut [u8], _: u64) -> imgfmt_core::Result<()> {
            Ok(())
        }
        fn describe(&self) -> imgfmt_core::Description {
            imgfmt_core::Description::default()
        }
    }
    assert!(Concat::new(vec![Box::new(Huge), Box::new(Huge)]).is_err());
    // An image that answers nothing for its map is an error, not an endless loop.
    let silent = Concat::new(vec![Box::new(Huge)]).unwrap();
    assert!(silent.read_at(&mut [0; 4], 0).is_err());
}
