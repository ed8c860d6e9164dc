//! Files that no writer makes read as the specification says.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use imgfmt_core::conformance::{Files, check_image, read_all};
use imgfmt_core::convert::Convert;
use imgfmt_core::{Backing, CreateRequest, Format, Image, MemoryTarget, Options, ParentName};
use imgfmt_qcow2::Qcow2;
use proptest::prelude::{Just, any, prop_oneof, proptest};

use crate::build::{Built, Plan, plans};
use crate::config;

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn any_layout_reads_as_its_plan_says(plan in plans()) {
        let (files, layers) = build(&[plan]);
        let image = files.open(&Qcow2, "layer0").unwrap();
        check_image(&image, Some(&flattened(&layers)), "one layer");
    }
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn chains_show_the_highest_layer_that_has_a_cluster(plans in proptest::collection::vec(plans(), 2..5)) {
        let (files, layers) = build(&plans);
        let image = files.open(&Qcow2, "layer0").unwrap();
        check_image(&image, Some(&flattened(&layers)), "a chain");
    }

    #[test]
    fn a_copy_shows_the_same_on_the_same_backing_file(
        plans in proptest::collection::vec(plans(), 2..4),
        options in prop_oneof![Just(""), Just("compat=0.10"), Just("cluster_size=512"), Just("cluster_size=16k"), Just("extended_l2=on")],
        compress in any::<bool>(),
        threads in 1..5usize,
    ) {
        let (mut files, layers) = build(&plans);
        let source = files.open(&Qcow2, "layer0").unwrap();
        let copy = copy_of(&source, "layer1", options, compress, threads);
        assert!(copy == copy_of(&source, "layer1", options, compress, 1), "threads change the file");
        files.add("copy", copy);
        let mut expected = flattened(&layers);
        let shown = read_all(&files.open(&Qcow2, "copy").unwrap());
        // A copy is rounded up to a sector; there too, the backing file shows.
        assert!(shown.len() - expected.len() < 512);
        expected.extend(&shown[expected.len()..]);
        assert!(shown == expected, "the copy shows something else");
    }
}

/// Builds the files of a chain, the top one first and called `layer0`.
fn build(plans: &[Plan]) -> (Files, Vec<Built>) {
    let mut files = Files::default();
    let mut layers = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        let below = format!("layer{}", number + 1);
        let built = plan.build(Some(below.as_str()).filter(|_| number + 1 < plans.len()));
        files.add(&format!("layer{number}"), built.file.clone());
        layers.push(built);
    }
    (files, layers)
}

/// What the layers show together; zeros where a layer ends that would be asked.
fn flattened(layers: &[Built]) -> Vec<u8> {
    (0..layers[0].bytes.len())
        .map(|at| {
            let answers = layers.iter().map(|layer| layer.bytes.get(at).map_or(Some(0), |byte| *byte));
            answers.flatten().next().unwrap_or(0)
        })
        .collect()
}

/// Writes the top layer of `source` to a new file that builds on `backing`.
fn copy_of(source: &dyn Image, backing: &str, options: &str, compress: bool, threads: usize) -> Vec<u8> {
    let name = ParentName { name: PathBuf::from(backing), format: Some(Qcow2.name().to_owned()) };
    let backing = Backing { name, ..Backing::default() };
    let options = Options::parse(options).unwrap();
    let request = CreateRequest { compress, backing: Some(&backing), ..CreateRequest::new(source.size(), &options) };
    let target = Arc::new(MemoryTarget::new());
    let threads = NonZeroUsize::new(threads).unwrap();
    let convert = Convert { threads, absent_from: Some(1), ..Convert::default() };
    convert.run(source, Qcow2.create(target.clone(), &request).unwrap()).unwrap();
    target.to_vec()
}
