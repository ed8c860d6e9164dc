//! Formats of encrypted images as the contracts can test them: with a secret at hand, and keys that can be guessed.

use std::io::Read;
use std::sync::Arc;

use crate::Result;
use crate::abilities::Abilities;
use crate::format::{CreateRequest, Format, OpenContext, Opened};
use crate::options::{OptionSpec, Options};
use crate::probe::Head;
use crate::secrets::Secrets;
use crate::storage::Storage;
use crate::stream::{ImageStream, Streamed};
use crate::target::Target;
use crate::writer::ImageWriter;

/// Starts a new image, with keys that are the same on every run.
pub type CreateWithKeys = fn(Arc<dyn Target>, &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>>;

/// A format whose images are opened and made with [`SECRET`].
pub struct WithSecret {
    /// The format.
    pub format: &'static dyn Format,
    /// The option that names the secret.
    pub option: &'static str,
    /// How new images are made.
    pub create: CreateWithKeys,
}

impl WithSecret {
    /// These options with the one that names the secret, and the secret.
    #[must_use]
    pub fn opened(&self, options: &Options) -> (Options, Secrets) {
        let (mut options, mut secrets) = (options.clone(), Secrets::new());
        options.set(self.option, "sec0");
        secrets.add("sec0", SECRET);
        (options, secrets)
    }
}

impl Format for WithSecret {
    fn name(&self) -> &'static str {
        self.format.name()
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.format.aliases()
    }

    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        self.format.probe(head)
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        self.format.open_options()
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        let (options, secrets) = self.opened(context.options);
        self.format.open(storage, &OpenContext { options: &options, secrets: &secrets, ..*context })
    }

    fn stream(&self, input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        self.format.stream(input, context)
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        self.format.options()
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        let (options, secrets) = self.opened(request.options);
        (self.create)(target, &CreateRequest { options: &options, secrets: &secrets, ..*request })
    }

    fn abilities(&self) -> Abilities {
        self.format.abilities()
    }
}

/// The secret.
pub const SECRET: &str = "correct horse";
