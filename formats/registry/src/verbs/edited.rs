//! Images as they lie on the host: to be looked at, or to be changed where they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::open::BELOW;
use imgfmt_core::{
    Abilities, Error, Format, Head, ImageEditor, Layer, Medium, OpenContext, Opened, Opener, OptionSpec, Result,
    Storage, probe,
};

use super::open::{Access, storage};
use super::request::Source;
use crate::FORMATS;

/// What the format of an image is, as far as verbs need it.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it can.
    pub(crate) abilities: Abilities,
    /// Its options for opening.
    open_options: &'static [OptionSpec],
}

impl Kind {
    /// What `format` is.
    fn of(format: &dyn Format) -> Self {
        Self { name: format.name(), abilities: format.abilities(), open_options: format.open_options() }
    }

    /// The format called `format`, or else the one that claims `storage`, or the fallback.
    fn find(opener: &Opener<'_>, storage: &Arc<dyn Storage>, format: Option<&str>) -> Result<Self> {
        if let Some(name) = format {
            return opener.by_name(name).map(Self::of);
        }
        match (probe::detect(FORMATS, storage)?, opener.fallback) {
            (Some(format), _) => Ok(Self::of(format)),
            (None, Some(name)) => opener.by_name(name).map(Self::of),
            (None, None) => Err(Error::unsupported("no format claims this file")),
        }
    }

    /// Whether the bytes in `storage` are known for this format by sight.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub(crate) fn claims(&self, storage: &dyn Storage) -> Result<bool> {
        match FORMATS.iter().find(|format| format.name() == self.name) {
            Some(format) => Ok(format.probe(&Head::read(storage)?)?.is_some()),
            None => Ok(false),
        }
    }

    /// The ability, or an error that says `what` the format's images cannot.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the format does not have it.
    pub(crate) fn need<T>(&self, ability: Option<T>, what: &str) -> Result<T> {
        ability.ok_or_else(|| Error::unsupported(format!("images in the format {} {what}", self.name)))
    }
}

/// One layer to be looked at, without what it was wrapped in.
pub(crate) struct Looked<'a> {
    /// Its bytes.
    pub(crate) storage: Arc<dyn Storage>,
    /// Its format.
    pub(crate) kind: Kind,
    /// Where it is, if it is a file of its own.
    path: Option<PathBuf>,
    /// The rules for opening.
    access: &'a Access<'a>,
}

impl<'a> Looked<'a> {
    /// Finds out what lies at the place of `source`.
    ///
    /// # Errors
    ///
    /// As [`open_layer`](super::open::open_layer).
    pub(crate) fn open(source: &Source, access: &'a Access<'a>) -> Result<Self> {
        let (path, format) = (source.path.as_path(), source.format.as_deref());
        let opener = access.opener();
        let found = opener.unwrap(storage(path, format, access)?, access.place(path), format)?;
        if let Some(error) = found.undecided {
            return Err(error);
        }
        let kind = Kind::find(&opener, &found.storage, found.format.as_deref())?;
        let (own, _) = access.options.split(BELOW);
        own.check(kind.open_options).map_err(|e| e.in_format(kind.name))?;
        Ok(Self { storage: found.storage, kind, path: found.path, access })
    }

    /// What the format may use.
    pub(crate) fn context(&self) -> OpenContext<'_> {
        OpenContext { path: self.path.as_deref(), ..self.access.opener().context }
    }

    /// Opens the layer to be read.
    ///
    /// # Errors
    ///
    /// As [`Opener::open_layer`].
    pub(crate) fn layer(&self) -> Result<Opened> {
        layer(self.access, &self.storage, self.path.as_deref(), self.kind.name)
    }
}

/// An image whose file is open to be changed where it is.
pub(crate) struct Edited<'a> {
    /// Its file.
    medium: Arc<dyn Medium>,
    /// Its format.
    pub(crate) kind: Kind,
    /// What the caller calls it.
    name: &'a Path,
    /// The rules for opening.
    access: &'a Access<'a>,
}

impl<'a> Edited<'a> {
    /// Opens the image of `source` to be changed, and takes the locks of a writer on its file.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for an image that is wrapped in something,
    /// [`Locked`](imgfmt_core::ErrorKind::Locked) where another program uses the file, and as
    /// [`open_layer`](super::open::open_layer).
    pub(crate) fn open(source: &'a Source, access: &'a Access<'a>) -> Result<Self> {
        let format = source.format.as_deref();
        let opener = access.opener();
        if let Some(name) = format {
            opener.by_name(name)?;
        }
        if access.part.is_some() {
            return Err(Error::unsupported("an image that is a part of a file cannot be changed there"));
        }
        let medium = access.medium(&source.path)?;
        let storage = Arc::clone(&medium) as Arc<dyn Storage>;
        // Only what is around the image is of interest, not which image: that there are several says enough.
        let found = opener.unwrap(Arc::clone(&storage), access.place(&source.path), format)?;
        if let Some((wrapper, _)) = found.wrappers.first() {
            return Err(Error::unsupported(format!("the image is in a {wrapper} file, and cannot be changed there")));
        }
        let kind = Kind::find(&opener, &storage, format)?;
        let (own, _) = access.options.split(BELOW);
        own.check(kind.open_options).map_err(|e| e.in_format(kind.name))?;
        Ok(Self { medium, kind, name: &source.path, access })
    }

    /// What the format may use.
    pub(crate) fn context(&self) -> OpenContext<'_> {
        OpenContext { path: self.path(), ..self.access.opener().context }
    }

    /// Where its file is; nothing where it is in none.
    pub(crate) fn path(&self) -> Option<&'a Path> {
        self.access.place(self.name)
    }

    /// Whether it is a regular file, whose length can change.
    pub(crate) fn is_regular(&self) -> bool {
        self.path().is_some_and(|path| path.metadata().is_ok_and(|metadata| metadata.is_file()))
    }

    /// The file, to be changed.
    pub(crate) fn medium(&self) -> Arc<dyn Medium> {
        Arc::clone(&self.medium)
    }

    /// The file, to be read as it is now.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.medium) as Arc<dyn Storage>
    }

    /// Opens the layer to be read as it is now.
    ///
    /// # Errors
    ///
    /// As [`Opener::open_layer`].
    pub(crate) fn layer(&self) -> Result<Opened> {
        layer(self.access, &self.storage(), self.path(), self.kind.name)
    }

    /// The layers that the image builds on, where they can be opened. What they have behind its end must not show when it becomes
    /// larger; where they are not known, they may have anything there.
    pub(crate) fn layers_below(&self) -> Vec<Layer> {
        if !self.layer().is_ok_and(|opened| opened.parent.is_some()) {
            return Vec::new();
        }
        let opener = Opener { wrappers: &[], ..self.access.opener() };
        let layers = opener.open_layers(self.storage(), self.path(), Some(self.kind.name));
        // The image itself is read through its editor.
        layers.map_or_else(|_| Vec::new(), |layers| layers.into_iter().skip(1).collect())
    }

    /// Opens the editor.
    ///
    /// # Errors
    ///
    /// As [`Edit::edit`](imgfmt_core::Edit::edit).
    pub(crate) fn editor(&self) -> Result<Box<dyn ImageEditor + '_>> {
        let edit = self.kind.need(self.kind.abilities.edit, "cannot be changed where they are")?;
        edit.edit(self.medium(), &self.context()).map_err(|e| e.in_format(self.kind.name))
    }

    /// Opens the editor for `act`, and closes it, also where `act` has failed: an image that could not be changed is whole.
    ///
    /// # Errors
    ///
    /// As [`editor`](Self::editor), what `act` says, or else what closing does.
    pub(crate) fn edit<T>(&self, act: impl FnOnce(&dyn ImageEditor) -> Result<T>) -> Result<T> {
        close_after(self.editor()?, act).map_err(|e| e.in_format(self.kind.name))
    }
}

/// Does `act` with `editor`, and closes it, also where `act` has failed.
///
/// # Errors
///
/// What `act` says, or else what closing does.
pub(crate) fn close_after<T>(
    editor: Box<dyn ImageEditor + '_>,
    act: impl FnOnce(&dyn ImageEditor) -> Result<T>,
) -> Result<T> {
    let done = act(editor.as_ref());
    let closed = editor.close();
    let done = done?;
    closed?;
    Ok(done)
}

/// Opens one layer that is wrapped in nothing.
fn layer(access: &Access<'_>, storage: &Arc<dyn Storage>, path: Option<&Path>, format: &str) -> Result<Opened> {
    let opener = Opener { wrappers: &[], ..access.opener() };
    opener.open_layer(Arc::clone(storage), path, Some(format)).map(|(opened, _)| opened)
}
