//! Which formats a file can be: all that claim it, never the first.

use std::sync::Arc;

use crate::format::Format;
use crate::storage::{Storage, StorageExt};
use crate::{Error, ErrorKind, Result};

/// The first bytes of a file, read once for all probes, and the rest on demand.
#[derive(Debug)]
pub struct Head<'a> {
    /// The first bytes, fewer where the file is shorter.
    first: Vec<u8>,
    /// The whole file.
    storage: &'a dyn Storage,
}

impl<'a> Head<'a> {
    /// Reads the head of `storage`.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) where it cannot be read.
    pub fn read(storage: &'a dyn Storage) -> Result<Self> {
        let mut first = vec![0; HEAD_LEN];
        let there = storage.read_padded(&mut first, 0)?;
        first.truncate(there);
        Ok(Self { first, storage })
    }

    /// The first 4 KiB, or the whole file where it is shorter.
    #[must_use]
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// The whole file.
    #[must_use]
    pub fn storage(&self) -> &'a dyn Storage {
        self.storage
    }
}

/// A format that claims a file.
#[derive(Clone, Copy)]
pub struct Match<'a> {
    /// The format.
    pub format: &'a dyn Format,
    /// Why: the magic or structure that was found.
    pub reason: &'static str,
}

/// All formats among `formats` that claim `storage`.
///
/// # Errors
///
/// [`Io`](ErrorKind::Io) where it cannot be read.
pub fn probe<'a>(formats: &'a [&'a dyn Format], storage: &dyn Storage) -> Result<Vec<Match<'a>>> {
    let head = Head::read(storage)?;
    let mut matches = Vec::new();
    for &format in formats {
        if let Some(reason) = format.probe(&head)? {
            matches.push(Match { format, reason });
        }
    }
    Ok(matches)
}

/// The one format that claims `storage`, or `None` where none does.
///
/// # Errors
///
/// [`Ambiguous`](ErrorKind::Ambiguous) where several do: such a file is made to be taken for something
/// that it is not.
pub fn detect<'a>(formats: &'a [&'a dyn Format], storage: &Arc<dyn Storage>) -> Result<Option<&'a dyn Format>> {
    match probe(formats, storage.as_ref())?.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.format)),
        several => {
            let claims: Vec<_> = several.iter().map(|m| format!("{} ({})", m.format.name(), m.reason)).collect();
            let what = format!("the file can be {}; its format has to be named", claims.join(" or "));
            Err(Error::new(ErrorKind::Ambiguous, what))
        }
    }
}

/// Bytes of the head.
const HEAD_LEN: usize = 4096;
