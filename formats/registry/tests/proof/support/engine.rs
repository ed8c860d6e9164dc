//! Writing images through the engine.

use std::fmt;
use std::path::Path;

use imgfmt::convert::Convert;
use imgfmt::{Backing, CreateRequest, FORMATS, Format, Image, Options, Output, ParentName};

use super::Outcome;

/// How an image is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// The format.
    pub(crate) format: &'static str,
    /// Its options.
    pub(crate) options: &'static str,
    /// Whether units are compressed.
    pub(crate) compress: bool,
    /// The name of a qcow2 backing file beside the image.
    pub(crate) backing: Option<&'static str>,
}

impl Recipe {
    /// A raw image with these options.
    pub(crate) const fn raw(options: &'static str) -> Self {
        Self { format: "raw", options, compress: false, backing: None }
    }

    /// A qcow2 image with these options.
    pub(crate) const fn qcow2(options: &'static str) -> Self {
        Self { format: "qcow2", options, compress: false, backing: None }
    }

    /// The same, compressed.
    pub(crate) const fn compressed(self) -> Self {
        Self { compress: true, ..self }
    }

    /// Writes `image` to a file at `path`, as the engine does by default.
    pub(crate) fn write(&self, image: &dyn Image, path: &Path) -> Outcome {
        self.write_with(&Convert::default(), image, path)
    }

    /// Writes `image` to a file at `path` as `convert` says.
    pub(crate) fn write_with(&self, convert: &Convert<'_>, image: &dyn Image, path: &Path) -> Outcome {
        let output = Output::create(path)?;
        let options = Options::parse(self.options)?;
        let backing = self.backing.map(|name| Backing {
            name: ParentName { name: name.into(), format: Some("qcow2".to_owned()) },
            ..Backing::default()
        });
        let request = CreateRequest {
            compress: self.compress,
            backing: backing.as_ref(),
            ..CreateRequest::new(image.size(), &options)
        };
        convert.run(image, format(self.format)?.create(output.target(), &request)?)?;
        Ok(output.commit(false)?)
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compressed = if self.compress { " -c" } else { "" };
        let backed = if self.backing.is_some() { " -B" } else { "" };
        write!(f, "{}{compressed}{backed} {}", self.format, self.options)
    }
}

/// The format of that name.
pub(crate) fn format(name: &str) -> Outcome<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.name() == name).ok_or_else(|| format!("no format {name}").into())
}
