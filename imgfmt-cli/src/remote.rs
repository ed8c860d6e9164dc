//! Images that the command line calls by an address: what is no file of this host.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt::{Addresses, Remote, Result};
use imgfmt_nbd::{NbdAddress, NbdRemote};

/// What the command line calls by an address. Only these names are addresses: one that is read from an image is not, whatever it
/// looks like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remotes(Vec<(PathBuf, Arc<dyn Remote>)>);

impl Remotes {
    /// What those of `names` lead to that are addresses.
    ///
    /// # Errors
    ///
    /// As [`remote_at`].
    pub(crate) fn of<'p>(names: impl IntoIterator<Item = &'p Path>) -> Result<Self> {
        let mut remotes = Self::default();
        for name in names {
            if let Some(remote) = remote_at(name)? {
                remotes.add(name, remote);
            }
        }
        Ok(remotes)
    }

    /// Lets `name` lead to `remote`, where nothing is known of it yet.
    pub(crate) fn add(&mut self, name: &Path, remote: Arc<dyn Remote>) {
        if !self.knows(name) {
            self.0.push((name.to_path_buf(), remote));
        }
    }

    /// Whether `name` is an address.
    pub(crate) fn knows(&self, name: &Path) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

impl Addresses for Remotes {
    fn find(&self, name: &Path) -> Result<Option<Arc<dyn Remote>>> {
        Ok(self.0.iter().find(|(known, _)| known == name).map(|(_, remote)| Arc::clone(remote)))
    }
}

/// What `name` leads to, where it is an address.
///
/// # Errors
///
/// [`Invalid`](imgfmt::ErrorKind::Invalid) for an address that makes no sense,
/// [`Unsupported`](imgfmt::ErrorKind::Unsupported) for a kind of connection that is not supported.
pub(crate) fn remote_at(name: &Path) -> Result<Option<Arc<dyn Remote>>> {
    match name.to_str() {
        Some(text) if NbdAddress::is_one(text) => Ok(Some(Arc::new(NbdRemote::new(NbdAddress::parse(text)?)))),
        _ => Ok(None),
    }
}
