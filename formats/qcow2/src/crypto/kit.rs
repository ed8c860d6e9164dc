//! Encrypted images keep the contracts of the core: the same key gives the same file, for any number of threads.

use imgfmt_core::conformance::{Disk, Fill, Kit, Variant, WithSecret, check_writer};
use imgfmt_crypt::random::counting;

use crate::{Qcow2, write};

#[test]
fn encrypted_images_keep_the_contracts() {
    let variants = [
        "encrypt.iterations=1000",
        "encrypt.iterations=1000,encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,cluster_size=512",
        "encrypt.format=aes,cluster_size=4k",
        "encrypt.format=aes,extended_l2=on,preallocation=metadata",
    ];
    let variants = variants.map(|options| Variant { sector_len: 512, ..Variant::new(options) });
    let runs = [(100..9000, Fill::Text), (40_000..70_000, Fill::Zeros), (70_000..90_513, Fill::Noise)];
    let disk = Disk::new("a few runs", 90_513, &runs);
    let kit = Kit { format: &WITH_SECRET, samples: None, variants: &variants, size_is_stored: true };
    variants.iter().for_each(|variant| check_writer(&kit, variant, &disk));
    let backed = Variant { backed: true, ..variants[2] };
    check_writer(&kit, &backed, &disk);
}

/// The format with a secret that is always at hand, and keys that are the same on every run.
const WITH_SECRET: WithSecret = WithSecret {
    format: &Qcow2,
    option: "encrypt.key-secret",
    create: |target, request| write::create_with(target, request, counting),
};
