//! From a file to a disk: probing, opening, and following the chain.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chain::Chain;
use crate::format::{Format, OpenContext, Opened};
use crate::gate::{Gate, Reference, Role};
use crate::image::Image;
use crate::info::ParentName;
use crate::limits::Limits;
use crate::storage::Storage;
use crate::{Error, ErrorKind, Result, probe};

/// Opens images of a list of formats.
#[derive(Clone, Copy)]
pub struct Opener<'a> {
    /// The formats that may be opened.
    pub formats: &'a [&'a dyn Format],
    /// The name of the format of files that nothing else claims; `None` refuses them.
    pub fallback: Option<&'a str>,
    /// Decides about the files that images name.
    pub gate: &'a dyn Gate,
    /// Bounds on what files may ask for.
    pub limits: &'a Limits,
}

/// One layer of a chain that was opened.
pub struct Layer {
    /// The layer's guest bytes.
    pub image: Box<dyn Image>,
    /// The name of its format.
    pub format: &'static str,
    /// Where it is, if it is a file.
    pub path: Option<PathBuf>,
}

impl<'a> Opener<'a> {
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
        let format = self.choose(&storage, format)?;
        let context = OpenContext { limits: self.limits, gate: self.gate, path };
        let opened = format.open(storage, &context).map_err(|e| e.in_format(format.name()))?;
        let size = opened.image.size();
        Limits::check("virtual size", size, self.limits.virtual_size).map_err(|e| e.in_format(format.name()))?;
        Ok((opened, format.name()))
    }

    /// Opens the image in `storage` and every layer that it builds on, the top one first.
    ///
    /// # Errors
    ///
    /// As [`open_layer`](Self::open_layer) for every layer and [`Gate::open`] for every file but the first;
    /// [`Malformed`](ErrorKind::Malformed) where a layer builds on itself,
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) for a chain that is too deep.
    pub fn open_layers(
        &self,
        storage: Arc<dyn Storage>,
        path: Option<&Path>,
        format: Option<&str>,
    ) -> Result<Vec<Layer>> {
        let mut layers: Vec<Layer> = Vec::new();
        let mut seen = HashSet::new();
        let mut next = Some((storage, path.map(Path::to_path_buf), format.map(str::to_owned)));
        while let Some((storage, path, format)) = next.take() {
            if layers.len() >= self.limits.chain_depth {
                return Err(Error::limit(format!("the chain has more than {} layers", self.limits.chain_depth)));
            }
            if !identity(storage.as_ref()).is_none_or(|id| seen.insert(id)) {
                return Err(Error::malformed("the chain of backing files leads back to one of its own layers"));
            }
            let named = |e: Error| match (&path, layers.is_empty()) {
                (Some(path), false) => e.context(format!("cannot open the backing file {}", path.display())),
                _ => e,
            };
            let (opened, format) = self.open_layer(storage, path.as_deref(), format.as_deref()).map_err(named)?;
            if let Some(parent) = &opened.parent {
                self.check_known(parent).map_err(|e| e.in_format(format))?;
                let reference = Reference { from: path.as_deref(), name: &parent.name, role: Role::Parent };
                let admitted = self.gate.open(&reference).map_err(|e| e.in_format(format))?;
                next = Some((admitted.storage, Some(admitted.path), parent.format.clone()));
            }
            layers.push(Layer { image: opened.image, format, path });
        }
        Ok(layers)
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

    /// The format of that name.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) with the nearest name, where there is none.
    pub fn by_name(&self, name: &str) -> Result<&'a dyn Format> {
        self.formats.iter().copied().find(|format| format.name() == name).ok_or_else(|| {
            let names = self.formats.iter().map(|format| format.name());
            let hint = crate::options::nearest(name, names.clone()).map_or_else(
                || format!("known are {}", names.collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean {near}?"),
            );
            Error::invalid(format!("unknown format {name}; {hint}"))
        })
    }

    /// Checks that the format that an image names for its parent exists. That it does not is no mistake of the caller.
    fn check_known(&self, parent: &ParentName) -> Result<()> {
        match parent.format.as_deref().map(|name| (name, self.by_name(name))) {
            Some((name, Err(_))) => {
                let what = format!("the backing file {} is said to be {name}", parent.name.display());
                Err(Error::unsupported(format!("{what}, which is no format known here")))
            }
            _ => Ok(()),
        }
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

/// Device and inode of the file behind a storage, where there is one.
fn identity(storage: &dyn Storage) -> Option<(u64, u64)> {
    let stat = rustix::fs::fstat(storage.as_file()?.fd).ok()?;
    Some((stat.st_dev, stat.st_ino))
}
