//! What these properties have found, as single cases.

use std::num::NonZeroUsize;

use imgfmt_core::convert::Convert;
use imgfmt_core::{Codec, Concat, Image, Order, Shape};

use crate::layer::{Kind, Layer, Plan};
use crate::recorder::Recorder;
use crate::reference::check;

/// Converts a layer into units of `unit` bytes, and compares.
fn convert(runs: &[(usize, Kind)], unit: u64, zero_grain: u64) {
    // An even number makes a layer whose map gives one extent at a time.
    let layer = Layer::new(&Plan { runs: runs.to_vec(), seed: 0 });
    let shape = Shape {
        unit,
        order: Order::Random,
        compression: None,
        pads_last: true,
        stores_plain: true,
        zeros_as_data: false,
    };
    let (writer, record) = Recorder::writer(layer.size(), shape, 0);
    let threads = NonZeroUsize::new(2).unwrap();
    Convert { threads, zero_grain: Some(zero_grain), ..Convert::default() }.run(&layer, writer).unwrap();
    assert!(record.lock().unwrap().put_together(&shape, &[]) == layer.flat());
}

/// The last piece was padded to the run of zeros that is looked for, which may be longer than its place.
#[test]
fn the_last_piece_is_padded_to_the_unit_of_the_writer() {
    convert(&[(4097, Kind::Data)], 512, 4096);
}

/// A job ended at the border of a unit behind a compressed unit, where the map had not been asked for yet.
#[test]
fn a_job_knows_the_map_up_to_its_end() {
    let runs =
        [(350_000, Kind::Data), (700_000, Kind::Encoded(Codec::Zlib)), (100, Kind::Data), (90_000, Kind::DataZeros)];
    convert(&runs, 1 << 16, 4096);
}

/// Two opaque disks that touch were read from the first alone.
#[test]
fn what_is_opaque_on_both_sides_of_a_border_is_read_from_both() {
    let disk = |seed| Layer::new(&Plan { runs: vec![(700, Kind::Opaque)], seed });
    let bytes = [disk(1).flat(), disk(2).flat()].concat();
    let disks: Vec<Box<dyn Image>> = vec![Box::new(disk(1)), Box::new(disk(2))];
    check(&Concat::new(disks).unwrap(), &bytes, 3);
}
