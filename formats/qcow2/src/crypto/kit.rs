//! Encrypted images keep the contracts of the core: the same key gives the same file, for any number of threads.

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Fill, Kit, Variant, check_writer};
use imgfmt_core::{
    Abilities, CreateRequest, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Options, Result,
    Secrets, Storage, Streamed, Target,
};
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
    let kit = Kit { format: &WithSecret, samples: None, variants: &variants, size_is_stored: true };
    variants.iter().for_each(|variant| check_writer(&kit, variant, &disk));
    let backed = Variant { backed: true, ..variants[2] };
    check_writer(&kit, &backed, &disk);
}

/// The format with a secret that is always at hand, and keys that are the same on every run.
struct WithSecret;

/// Calls `with` with a secret and the option that names it.
fn with_secret<T>(options: &Options, with: impl FnOnce(&Options, &Secrets) -> T) -> T {
    let (mut options, mut secrets) = (options.clone(), Secrets::new());
    options.set("encrypt.key-secret", "sec0");
    secrets.add("sec0", "correct horse");
    with(&options, &secrets)
}

impl Format for WithSecret {
    fn name(&self) -> &'static str {
        Qcow2.name()
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        Qcow2.probe(head)
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        Qcow2.open_options()
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        with_secret(context.options, |options, secrets| {
            Qcow2.open(storage, &OpenContext { options, secrets, ..*context })
        })
    }

    fn stream(&self, input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        Qcow2.stream(input, context)
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Qcow2.options()
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        with_secret(request.options, |options, secrets| {
            write::create_with(target, &CreateRequest { options, secrets, ..*request }, counting)
        })
    }

    fn abilities(&self) -> Abilities {
        Qcow2.abilities()
    }
}
