//! A chain shows, at each byte, the highest layer that has it.

use imgfmt_core::{Chain, Image, ImageExt};
use proptest::prelude::{Strategy, any, proptest};

use crate::config;
use crate::layer::{Layer, Plan, plans};
use crate::reference::check;

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn layers_flatten_to_the_highest_that_has_a_byte(plans in chains(), seed in any::<u64>()) {
        let layers: Vec<Layer> = plans.iter().map(Layer::new).collect();
        let chain = chain_of(&layers);
        let (bytes, answers) = flattened(&layers);
        check(&chain, &bytes, seed);
        let mut extents = Vec::new();
        chain.visit_extents(0..chain.size(), &mut |extent| { extents.push(extent); Ok(()) }).unwrap();
        for extent in extents {
            let answer = &answers[extent.start as usize..extent.end() as usize];
            assert!(answer.iter().all(|&layer| layer == extent.layer), "{extent:?} names the wrong layer");
        }
    }
}

/// Plans for one to four layers of all sizes.
pub(crate) fn chains() -> impl Strategy<Value = Vec<Plan>> {
    proptest::collection::vec(plans(14, 9000, true), 1..5)
}

/// The layers as a chain.
pub(crate) fn chain_of(layers: &[Layer]) -> Chain {
    Chain::new(layers.iter().map(|layer| Box::new(layer.clone()) as Box<dyn Image>).collect()).unwrap()
}

/// What the layers show, and which of them answers: where none has a byte, the one below the lowest; where a layer
/// is too short, that layer.
pub(crate) fn flattened(layers: &[Layer]) -> (Vec<u8>, Vec<u16>) {
    (0..layers[0].bytes.len())
        .map(|at| {
            for (number, layer) in (0u16..).zip(layers) {
                match layer.bytes.get(at) {
                    None => return (0, number),
                    Some(&Some(byte)) => return (byte, number),
                    Some(None) => {}
                }
            }
            (0, u16::try_from(layers.len()).unwrap())
        })
        .unzip()
}
