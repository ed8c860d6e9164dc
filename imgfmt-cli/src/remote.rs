//! Images that the command line calls by an address: what is no file of this host.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt::convert::Convert;
use imgfmt::{Addresses, Remote, Result};
use imgfmt_nbd::{NbdAddress, NbdRemote};
use imgfmt_rbd::{RbdAddress, RbdRemote};

/// An address of one kind or the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// An export of an NBD server.
    Nbd(NbdAddress),
    /// An image of a Ceph pool.
    Rbd(RbdAddress),
}

impl Address {
    /// The address that `name` is, if it is one.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt::ErrorKind::Invalid) for an address that makes no sense,
    /// [`Unsupported`](imgfmt::ErrorKind::Unsupported) for a kind of connection that is not supported.
    pub(crate) fn parse(name: &Path) -> Result<Option<Self>> {
        match name.to_str() {
            Some(text) if NbdAddress::is_one(text) => NbdAddress::parse(text).map(Self::Nbd).map(Some),
            Some(text) if RbdAddress::is_one(text) => RbdAddress::parse(text).map(Self::Rbd).map(Some),
            _ => Ok(None),
        }
    }

    /// What it leads to.
    fn remote(self) -> Arc<dyn Remote> {
        match self {
            Self::Nbd(address) => Arc::new(NbdRemote::new(address)),
            Self::Rbd(address) => Arc::new(RbdRemote::new(helper(), address)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nbd(address) => address.fmt(f),
            Self::Rbd(address) => address.fmt(f),
        }
    }
}

/// What the command line calls by an address. Only these names are addresses: one that is read from an image is not, whatever it
/// looks like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remotes(Vec<(PathBuf, Arc<dyn Remote>)>);

impl Remotes {
    /// What those of `names` lead to that are addresses.
    ///
    /// # Errors
    ///
    /// As [`Address::parse`].
    pub(crate) fn of<'p>(names: impl IntoIterator<Item = &'p Path>) -> Result<Self> {
        let mut remotes = Self::default();
        for name in names {
            if let Some(address) = Address::parse(name)? {
                remotes.add(name, address);
            }
        }
        Ok(remotes)
    }

    /// Lets `name` lead to `address`, where it does not already.
    pub(crate) fn add(&mut self, name: &Path, address: Address) {
        if !self.knows(name) {
            self.0.push((name.to_path_buf(), address.remote()));
        }
    }

    /// Knows what `other` does, too.
    pub(crate) fn extend(&mut self, other: &Self) {
        for (name, remote) in &other.0 {
            if !self.knows(name) {
                self.0.push((name.clone(), Arc::clone(remote)));
            }
        }
    }

    /// How many threads work where the user does not say: as many as there are processors and, where something is far away, enough
    /// to ask for some parts of it while others are on their way.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        let here = Convert::default().threads;
        if self.0.is_empty() { here } else { here.max(THREADS_AWAY) }
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

/// Where the helper for images of Ceph is: beside this program, or where packages put it.
fn helper() -> PathBuf {
    let folder = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.to_path_buf()));
    let beside = folder.as_deref().map(|folder| folder.join(HELPER));
    let packaged = folder.map(|folder| folder.join("../lib/imgfmt").join(HELPER));
    let found = [&beside, &packaged].into_iter().flatten().find(|path| path.is_file()).cloned();
    found.or(packaged).unwrap_or_else(|| PathBuf::from(HELPER))
}

/// Threads that work at least where something is far away.
const THREADS_AWAY: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");
/// The helper for images of Ceph.
const HELPER: &str = "imgfmt-rbd";
