//! Images that the command line calls by an address: what is no file of this host.

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt::convert::Convert;
use imgfmt::{Addresses, Remote, Result};
use imgfmt_nbd::{NbdAddress, NbdRemote, NbdServer, Patience};
use imgfmt_rbd::{RbdAddress, RbdRemote};

use crate::{keys, signals};

/// An address of one kind or the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// An export of an NBD server.
    Nbd(NbdAddress),
    /// An image of a Ceph pool. What stands for its key is not the key.
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

    /// The same address, with the real path of a socket.
    fn resolved(&self) -> Self {
        match self {
            Self::Nbd(NbdAddress { server: NbdServer::Unix(path), export }) => {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                Self::Nbd(NbdAddress { server: NbdServer::Unix(path), export: export.clone() })
            }
            other => other.clone(),
        }
    }

    /// What it leads to.
    fn remote(self) -> Arc<dyn Remote> {
        match self {
            Self::Nbd(address) => {
                let patience = Patience { cancel: signals::ending(), ..Patience::default() };
                Arc::new(NbdRemote::new(address).with_patience(patience))
            }
            Self::Rbd(mut address) => {
                address.settings = keys::put_back(address.settings);
                Arc::new(RbdRemote::new(helper(), address).cancelled_by(signals::ending()))
            }
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
pub(crate) struct Remotes(Vec<Known>);

/// A name that is an address.
#[derive(Clone, Debug)]
struct Known {
    /// The name. It is no path, of which parts would mean nothing.
    name: OsString,
    /// The address, as others can be compared with it.
    address: Address,
    /// What it leads to.
    remote: Arc<dyn Remote>,
}

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

    /// Lets `name` lead to `address`, where it does not already. Two names of the same lead to the same.
    pub(crate) fn add(&mut self, name: &Path, address: Address) {
        let same = address.resolved();
        let remote = self.0.iter().find(|known| known.address == same).map(|known| Arc::clone(&known.remote));
        let remote = remote.unwrap_or_else(|| address.remote());
        self.take(&Known { name: name.as_os_str().to_owned(), address: same, remote });
    }

    /// Knows what `other` does, too.
    pub(crate) fn extend(&mut self, other: &Self) {
        for new in &other.0 {
            let remote = self.0.iter().find(|known| known.address == new.address).map(|known| &known.remote);
            let remote = Arc::clone(remote.unwrap_or(&new.remote));
            self.take(&Known { remote, ..new.clone() });
        }
    }

    /// Takes a name that is not known yet.
    fn take(&mut self, new: &Known) {
        if !self.knows(Path::new(&new.name)) {
            self.0.push(new.clone());
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
        self.0.iter().any(|known| known.name == name.as_os_str())
    }
}

impl Addresses for Remotes {
    fn find(&self, name: &Path) -> Result<Option<Arc<dyn Remote>>> {
        let known = self.0.iter().find(|known| known.name == name.as_os_str());
        Ok(known.map(|known| Arc::clone(&known.remote)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_paths_and_two_names_of_the_same_lead_to_the_same() {
        let same = |first: &str, second: &str| {
            let remotes = Remotes::of([Path::new(first), Path::new(second)]).unwrap();
            let [first, second] = [first, second].map(|name| remotes.find(Path::new(name)).unwrap().unwrap());
            std::ptr::addr_eq(Arc::as_ptr(&first), Arc::as_ptr(&second))
        };
        assert!(same("nbd://h/a", "nbd:h:10809:exportname=a"));
        for other in ["nbd://h/a/", "nbd://h//a", "nbd://h/./a", "nbd://h:1/a"] {
            assert!(!same("nbd://h/a", other), "{other}");
        }
    }
}
