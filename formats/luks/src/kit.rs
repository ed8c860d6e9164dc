//! Containers keep the contracts of the core: the same key gives the same file, for any number of threads.

use imgfmt_core::conformance::{
    Disk, Edited, Fill, Kit, Step, Variant, WithSecret, check, check_cuts, check_edits, check_faults, random_steps,
    write,
};
use imgfmt_core::{Erase, Options, Preallocation};
use imgfmt_crypt::random::counting;
use proptest::prelude::{any, proptest};

use crate::{Luks, write as writing};

#[test]
fn containers_keep_the_contracts() {
    let variants = [
        "iterations=1000",
        "iterations=1000,cipher-alg=serpent-256,cipher-mode=cbc,ivgen-alg=essiv,hash-alg=sha1",
        "iterations=1000,cipher-alg=aes-128,preallocation=full",
    ];
    let variants = variants.map(|options| Variant { sector_len: 512, ..Variant::new(options) });
    check(&Kit { format: &WITH_SECRET, samples: None, variants: &variants, size_is_stored: false });
}

proptest! {
    #![proptest_config(imgfmt_core::property_config!(12))]

    #[test]
    fn a_container_is_edited_as_a_byte_vector_is(seed in any::<u64>()) {
        with_container(&mut |edited, size| {
            let steps = random_steps(edited, seed, 12, size, 1);
            check_edits(edited, &steps);
        });
    }

    #[test]
    fn a_cut_leaves_old_or_new_sectors(seed in any::<u64>()) {
        with_container(&mut |edited, size| {
            let mut steps = random_steps(edited, seed, 6, size, 512);
            // A disk that grows is noise for a while. Places that only a larger disk has are no edits of this one.
            steps.retain(|step| match step {
                Step::Resize(..) => false,
                Step::Write(at, len, _) | Step::Erase(at, len, _) => at + len <= size,
                _ => true,
            });
            steps.push(Step::Erase(0, 1024, Erase::Zero));
            check_cuts(edited, &steps, seed);
        });
    }
}

#[test]
fn a_container_loses_nothing_to_a_medium_that_fails() {
    with_container(&mut |edited, size| {
        let steps =
            [Step::Write(100, 5000, 1), Step::Flush, Step::Erase(512, 1100, Erase::Zero), Step::Write(0, 512, 2)];
        check_faults(edited, &steps);
        let smaller = [Step::Resize(size - 1024, Preallocation::Off), Step::Write(0, 700, 2)];
        check_faults(edited, &smaller);
    });
}

/// Calls `act` with a container that can be edited, and the size of its disk.
fn with_container(act: &mut dyn FnMut(&Edited<'_>, u64)) {
    let disk = Disk::new("a few runs", 20_480, &[(100..9000, Fill::Text), (15_000..20_480, Fill::Noise)]);
    let variant = Variant { sector_len: 512, ..Variant::new("iterations=1000,cipher-alg=aes-128") };
    let kit = Kit { format: &WITH_SECRET, samples: None, variants: &[], size_is_stored: false };
    let files = [("disk".to_owned(), write(&kit, &variant, &disk.image(), 1))];
    let (options, secrets) = WITH_SECRET.opened(&Options::new());
    let (format, files, name) = (&Luks, &files, "disk");
    let edited = Edited { format, files, name, options: &options, secrets: &secrets, size_unit: 512, shrinks: true };
    act(&edited, disk.bytes.len() as u64);
}

/// The format with a secret that is always at hand, and keys that are the same on every run.
const WITH_SECRET: WithSecret = WithSecret {
    format: &Luks,
    option: "key-secret",
    create: |target, request| writing::create(target, request, counting),
};
