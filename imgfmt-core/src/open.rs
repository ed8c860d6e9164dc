//! From a file to a disk: unwrapping, probing, opening, and following the chain.

mod parent;
mod unwrap;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parent::check_identity;
pub use unwrap::Unwrapped;

use crate::bitmap::Bitmap;
use crate::chain::Chain;
use crate::format::{Format, OpenContext, Opened, Parent};
use crate::gate::{Admitted, Gate};
use crate::image::Image;
use crate::info::Identity;
use crate::limits::Limits;
use crate::options::Options;
use crate::storage::Storage;
use crate::wrap::Wrapper;
use crate::{Error, ErrorKind, Result, probe};

/// Opens images of a list of formats.
#[derive(Clone, Copy)]
pub struct Opener<'a> {
    /// The formats that may be opened.
    pub formats: &'a [&'a dyn Format],
    /// What may be taken off before an image shows. Only the file that the caller names is unwrapped.
    pub wrappers: &'a [&'a dyn Wrapper],
    /// The name of the format of files that nothing else claims; `None` refuses them.
    pub fallback: Option<&'a str>,
    /// Limits, the gate, options and secrets for opening. The snapshot is for the top layer, and so are options; those
    /// that begin with `backing.` are for the layer below, those with `backing.backing.` for the next.
    pub context: OpenContext<'a>,
    /// Which image of a file that holds several: its name, or its number from 1 on.
    pub member: Option<&'a str>,
    /// Whether images are opened without what they build on: what they do not hold themselves is zero.
    pub alone: bool,
}

/// One layer of a chain that was opened.
pub struct Layer {
    /// The layer's guest bytes.
    pub image: Box<dyn Image>,
    /// The name of its format.
    pub format: &'static str,
    /// Where it is, if it is a file of its own.
    pub path: Option<PathBuf>,
    /// The dirty bitmaps that it carries.
    pub bitmaps: Vec<Box<dyn Bitmap>>,
}

impl<'a> Opener<'a> {
    /// Opens images of `formats` within `limits`, asking `gate` for other files. No format is a fallback, and nothing is
    /// unwrapped.
    #[must_use]
    pub fn new(formats: &'a [&'a dyn Format], gate: &'a dyn Gate, limits: &'a Limits) -> Self {
        Self {
            formats,
            wrappers: &[],
            fallback: None,
            context: OpenContext::new(limits, gate),
            member: None,
            alone: false,
        }
    }

    /// Opens one layer in `storage`, which is at `path` if it is a file, and no other. `format` is the
    /// name that the caller gives; without one, the file is probed.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) for a format that does not exist, [`Ambiguous`](ErrorKind::Ambiguous)
    /// where several formats claim the file, and whatever the format says.
    pub fn open_layer(
        &self,
        storage: Arc<dyn Storage>,
        path: Option<&Path>,
        format: Option<&str>,
    ) -> Result<(Opened, &'static str)> {
        let Candidate { storage, path, format } = self.unwrap(storage, path, format)?.try_into()?;
        let (own, _) = self.context.options.split(BELOW);
        self.open_bare(storage, path.as_deref(), format.as_deref(), &own, self.context.snapshot)
    }

    /// Opens the image in `storage` and every layer that it builds on, the top one first.
    ///
    /// # Errors
    ///
    /// As [`open_layer`](Self::open_layer) for every layer and [`Gate::open`] for every file but the first;
    /// [`Malformed`](ErrorKind::Malformed) where a layer builds on itself, or on another image than it was made for,
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) for a chain that is too deep.
    pub fn open_layers(
        &self,
        storage: Arc<dyn Storage>,
        path: Option<&Path>,
        format: Option<&str>,
    ) -> Result<Vec<Layer>> {
        let mut layers: Vec<Layer> = Vec::new();
        let mut seen = HashSet::new();
        let mut next = Some(self.unwrap(storage, path, format)?.try_into()?);
        let mut expected: Option<Identity> = None;
        let (mut own, mut below) = self.context.options.split(BELOW);
        while let Some(Candidate { storage, path, format }) = next.take() {
            if layers.len() >= self.context.limits.chain_depth {
                let limit = self.context.limits.chain_depth;
                return Err(Error::limit(format!("the chain has more than {limit} layers")));
            }
            if !identity(storage.as_ref()).is_none_or(|id| seen.insert(id)) {
                return Err(Error::malformed("the chain of backing files leads back to one of its own layers"));
            }
            let top = layers.is_empty();
            let named = |e: Error| match (&path, top) {
                (Some(path), false) => e.context(format!("cannot open the backing file {}", path.display())),
                _ => e,
            };
            let snapshot = self.context.snapshot.filter(|_| top);
            let opened = self.open_bare(storage, path.as_deref(), format.as_deref(), &own, snapshot);
            let (opened, format) = opened.map_err(named)?;
            (own, below) = below.split(BELOW);
            if let Some(expected) = expected.take() {
                check_identity(&expected, opened.image.as_ref()).map_err(|e| named(e.in_format(format)))?;
            }
            if let Some(parent) = opened.parent.filter(|_| !self.alone) {
                next = Some(self.find_parent(&parent, path.as_deref()).map_err(|e| e.in_format(format))?);
                expected = parent.identity;
            }
            layers.push(Layer { image: opened.image, format, path, bitmaps: opened.bitmaps });
        }
        match own.names().chain(below.names()).next() {
            Some(name) => {
                Err(Error::invalid(format!("the option {BELOW}{name} is for a backing file that there is not")))
            }
            None => Ok(layers),
        }
    }

    /// Opens the image in `storage` with all that it builds on, as one disk.
    ///
    /// # Errors
    ///
    /// As [`open_layers`](Self::open_layers).
    pub fn open(&self, storage: Arc<dyn Storage>, path: Option<&Path>, format: Option<&str>) -> Result<Chain> {
        let layers = self.open_layers(storage, path, format)?;
        Chain::new(layers.into_iter().map(|layer| layer.image).collect())
    }

    /// Opens the image in `storage`, which is wrapped in nothing.
    fn open_bare(
        &self,
        storage: Arc<dyn Storage>,
        path: Option<&Path>,
        format: Option<&str>,
        options: &Options,
        snapshot: Option<&str>,
    ) -> Result<(Opened, &'static str)> {
        let format = self.choose(&storage, format)?;
        let context = OpenContext { path, options, snapshot, ..self.context };
        let open = || {
            options.check(format.open_options())?;
            format.open(storage, &context)
        };
        let opened = open().map_err(|e| e.in_format(format.name()))?;
        let (size, limit) = (opened.image.size(), self.context.limits.virtual_size);
        Limits::check("virtual size", size, limit).map_err(|e| e.in_format(format.name()))?;
        Ok((opened, format.name()))
    }

    /// The format of that name.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) with the nearest name, where there is none.
    pub fn by_name(&self, name: &str) -> Result<&'a dyn Format> {
        let called = |format: &&dyn Format| format.name() == name || format.aliases().contains(&name);
        self.formats.iter().copied().find(called).ok_or_else(|| {
            let names = self.formats.iter().map(|format| format.name());
            let hint = crate::options::nearest(name, names.clone()).map_or_else(
                || format!("known are {}", names.collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean {near}?"),
            );
            Error::invalid(format!("unknown format {name}; {hint}"))
        })
    }

    /// The format that was named, or the one that claims the file.
    fn choose(&self, storage: &Arc<dyn Storage>, format: Option<&str>) -> Result<&'a dyn Format> {
        if let Some(name) = format {
            return self.by_name(name);
        }
        match (probe::detect(self.formats, storage)?, self.fallback) {
            (Some(format), _) => Ok(format),
            (None, Some(name)) => self.by_name(name),
            (None, None) => Err(Error::new(ErrorKind::Unsupported, "no format claims this file")),
        }
    }
}

/// A file that may hold an image.
struct Candidate {
    /// Its bytes.
    storage: Arc<dyn Storage>,
    /// Where it is, if it is a file of its own.
    path: Option<PathBuf>,
    /// Its format, where somebody says so.
    format: Option<String>,
}

impl TryFrom<Unwrapped> for Candidate {
    type Error = Error;

    fn try_from(found: Unwrapped) -> Result<Self> {
        match found.undecided {
            Some(error) => Err(error),
            None => Ok(Self { storage: found.storage, path: found.path, format: found.format }),
        }
    }
}

impl Candidate {
    /// The file that the gate admitted for `parent`.
    fn admitted(found: Admitted, parent: &Parent) -> Self {
        Self { storage: found.storage, path: Some(found.path), format: parent.format.clone() }
    }
}

/// Device and inode of the file behind a storage, where there is one.
fn identity(storage: &dyn Storage) -> Option<(u64, u64)> {
    let stat = rustix::fs::fstat(storage.as_file()?.fd).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

/// How options for the layer below begin.
pub const BELOW: &str = "backing.";
