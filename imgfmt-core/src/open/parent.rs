//! Finding the layer below, and knowing it for the right one.

use std::path::Path;
use std::sync::Arc;

use super::{Candidate, Opener};
use crate::format::Parent;
use crate::gate::{Reference, Role};
use crate::image::Image;
use crate::info::Identity;
use crate::options::Options;
use crate::{Error, ErrorKind, Result};

impl Opener<'_> {
    /// Finds the file that `parent` means, for the image at `path`: the first of its names that there is, or the file
    /// beside the image that has the right identity.
    pub(super) fn find_parent(&self, parent: &Parent, path: Option<&Path>) -> Result<Candidate> {
        self.check_known(parent)?;
        let mut first = None;
        for name in &parent.names {
            let reference = Reference { from: path, name, role: Role::Parent };
            match self.context.gate.open(&reference) {
                Ok(found) => return Ok(Candidate::admitted(found, parent)),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        match (first, &parent.identity) {
            (Some(error), _) => Err(error),
            (None, Some(identity)) => self.search_parent(parent, identity, path),
            (None, None) => Err(Error::new(ErrorKind::Missing, "there is a parent, but nothing names its file")),
        }
    }

    /// Searches the files beside the image at `path` for the parent that is `identity`.
    fn search_parent(&self, parent: &Parent, identity: &Identity, path: Option<&Path>) -> Result<Candidate> {
        let missing = |why: &str| {
            let what = format!("the parent is known only by its {} {}, and {why}", identity.kind, identity.value);
            Error::new(ErrorKind::Missing, what)
        };
        let from = path.ok_or_else(|| missing("the image is no file that others could lie beside"))?;
        let names = self.context.gate.beside(from)?;
        for name in names.iter().take(MAX_SEARCHED) {
            let reference = Reference { from: Some(from), name, role: Role::Parent };
            let Ok(found) = self.context.gate.open(&reference) else { continue };
            let format = parent.format.as_deref();
            let opened = self.open_bare(Arc::clone(&found.storage), Some(&found.path), format, &Options::new(), None);
            if opened.is_ok_and(|(opened, _)| opened.image.describe().identities.contains(identity)) {
                return Ok(Candidate::admitted(found, parent));
            }
        }
        Err(missing("no file beside the image has it"))
    }

    /// Checks that the format that an image names for its parent exists. That it does not is no mistake of the caller.
    fn check_known(&self, parent: &Parent) -> Result<()> {
        match parent.format.as_deref().map(|name| (name, self.by_name(name))) {
            Some((name, Err(_))) => {
                let file = parent.names.first().map(|name| name.display().to_string()).unwrap_or_default();
                let what = format!("the backing file {file} is said to be {name}");
                Err(Error::unsupported(format!("{what}, which is no format known here")))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that `image` is the one that its child was made for, where it says who it is.
pub(super) fn check_identity(expected: &Identity, image: &dyn Image) -> Result<()> {
    let identities = image.describe().identities;
    let mut same_kind = identities.iter().filter(|identity| identity.kind == expected.kind).peekable();
    let Some(first) = same_kind.peek().map(|identity| identity.value.clone()) else {
        return Ok(());
    };
    if same_kind.any(|identity| identity == expected) {
        return Ok(());
    }
    let what = format!(
        "is {first}, but the image that builds on it was made for {}: the parent has changed since, or is another disk",
        expected.value
    );
    Err(Error::malformed(what).field(expected.kind))
}

/// Files beside an image that are looked at for a parent.
const MAX_SEARCHED: usize = 1024;
