//! Properties of vmdk over random layouts, against plain byte vectors.

// All of it is for tests, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod build;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod plan;

use imgfmt_core::conformance::{Files, check_image, read_all};
use imgfmt_core::{ErrorKind, Image};
use imgfmt_vmdk::Vmdk;
use proptest::prelude::{any, proptest};
use proptest::test_runner::Config;

use disk::{Disk, disks, flattened};
use plan::{Plan, plans};

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn any_sparse_extent_reads_as_its_plan_says(plan in plans()) {
        let built = plan.build(&plan.descriptor(None));
        let mut files = Files::default();
        files.add("disk.vmdk", built.file);
        let expected: Vec<u8> = built.bytes.iter().map(|byte| byte.unwrap_or(0)).collect();
        check_image(&files.open(&Vmdk, "disk.vmdk").unwrap(), Some(&expected), "one extent");
    }

    #[test]
    fn a_file_that_is_cut_is_an_error_or_the_same(plan in plans(), cut in any::<proptest::sample::Index>()) {
        let built = plan.build(&plan.descriptor(None));
        let mut files = Files::default();
        files.add("disk.vmdk", built.file[..cut.index(built.file.len())].to_vec());
        let Ok(image) = files.open(&Vmdk, "disk.vmdk") else { return Ok(()) };
        let mut bytes = vec![0xa5; usize::try_from(image.size()).unwrap()];
        match image.read_at(&mut bytes, 0) {
            Ok(()) => assert!(bytes.iter().zip(&built.bytes).all(|(read, byte)| *read == byte.unwrap_or(0))),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::OutOfBounds | ErrorKind::Malformed), "{error:?}"),
        }
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn extents_of_all_kinds_follow_each_other(disk in disks()) {
        let mut files = Files::default();
        let expected: Vec<u8> = disk.build("disk", None, &mut files).iter().map(|byte| byte.unwrap_or(0)).collect();
        let image = files.open(&Vmdk, "disk.vmdk").unwrap();
        check_image(&image, Some(&expected), "several extents");
    }

    #[test]
    fn a_child_shows_its_parent_where_it_has_no_grain(
        layers in proptest::collection::vec(disks(), 2..4),
        top in plans(),
    ) {
        let mut files = Files::default();
        let mut bytes = vec![];
        let top: Plan = Plan { zeroed: true, ..top };
        let built = top.build(&top.descriptor(Some("layer0.vmdk")));
        files.add("top.vmdk", built.file);
        bytes.push(built.bytes);
        for (number, disk) in layers.iter().enumerate() {
            let below = format!("layer{}.vmdk", number + 1);
            let parent = Some(below.as_str()).filter(|_| number + 1 < layers.len());
            bytes.push(Disk::build(disk, &format!("layer{number}"), parent, &mut files));
        }
        let image = files.open(&Vmdk, "top.vmdk").unwrap();
        check_image(&image, Some(&flattened(&bytes)), "a chain");
        assert_eq!(read_all(&image).len(), top.size());
    }
}

/// The configuration of a property that `cases` cases are enough for; `PROPTEST_CASES` asks for more.
fn config(cases: u32) -> Config {
    imgfmt_core::property_config!(cases)
}
