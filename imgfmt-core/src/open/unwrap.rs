//! Taking off what an image is wrapped in.

use std::path::Path;
use std::sync::Arc;

use super::{Candidate, Opener};
use crate::format::OpenContext;
use crate::storage::Storage;
use crate::wrap::{Contents, Wrapper};
use crate::{Error, Result, probe};

impl<'a> Opener<'a> {
    /// What a wrapped file holds, and what kinds of wrapper were found, the outermost first; the list of images is that
    /// of the last wrapper that has several, or of the innermost. Nothing, for a file that is an image.
    ///
    /// # Errors
    ///
    /// As [`Wrapper::contents`].
    pub fn contents(&self, storage: &Arc<dyn Storage>, path: Option<&Path>) -> Result<Vec<(&'static str, Contents)>> {
        let mut found = Vec::new();
        let (mut storage, mut path) = (Arc::clone(storage), path);
        while let Some(wrapper) = self.wrapper_of(&storage, None)? {
            let context = OpenContext { path, ..self.context };
            let contents = wrapper.contents(&storage, &context).map_err(|e| e.in_format(wrapper.name()))?;
            let picked = self.pick(wrapper, &contents);
            found.push((wrapper.name(), contents));
            let Ok(index) = picked else { break };
            check_depth(found.len())?;
            storage = wrapper.open(&storage, index, &context).map_err(|e| e.in_format(wrapper.name()))?;
            path = None;
        }
        Ok(found)
    }

    /// Takes off what the file in `storage` is wrapped in. Whoever says raw means the bytes as they are.
    pub(super) fn unwrap(
        &self,
        storage: Arc<dyn Storage>,
        path: Option<&Path>,
        format: Option<&str>,
    ) -> Result<Candidate> {
        let mut found = Candidate { storage, path: path.map(Path::to_path_buf), format: format.map(str::to_owned) };
        let mut depth = 0;
        while let Some(wrapper) = self.wrapper_of(&found.storage, found.format.as_deref())? {
            depth += 1;
            check_depth(depth)?;
            let context = OpenContext { path: found.path.as_deref(), ..self.context };
            let open = || {
                let contents = wrapper.contents(&found.storage, &context)?;
                let index = self.pick(wrapper, &contents)?;
                Ok((wrapper.open(&found.storage, index, &context)?, contents.members[index].format.clone()))
            };
            let (storage, said) = open().map_err(|e: Error| e.in_format(wrapper.name()))?;
            // What an archive says of a member is a hint: the member may be wrapped once more.
            let said = said.filter(|name| depth < MAX_WRAPPERS && self.by_name(name).is_ok());
            let said = match self.wrapper_of(&storage, None)? {
                Some(_) => None,
                None => said,
            };
            found = Candidate { storage, path: None, format: found.format.or(said) };
        }
        Ok(found)
    }

    /// The wrapper that `storage` shows, if any: not where the caller's `format` is the fallback, or claims the file.
    fn wrapper_of(&self, storage: &Arc<dyn Storage>, format: Option<&str>) -> Result<Option<&'a dyn Wrapper>> {
        if self.wrappers.is_empty() {
            return Ok(None);
        }
        let head = probe::Head::read(storage.as_ref())?;
        if let Some(name) = format {
            let format = self.by_name(name)?;
            if self.fallback == Some(format.name()) || format.probe(&head)?.is_some() {
                return Ok(None);
            }
        } else if !probe::probe(self.formats, storage.as_ref())?.is_empty() {
            return Ok(None);
        }
        for &wrapper in self.wrappers {
            if wrapper.probe(&head)?.is_some() {
                return Ok(Some(wrapper));
            }
        }
        Ok(None)
    }

    /// The index of the image to take from `contents`: the one that was asked for, or the only one.
    fn pick(&self, wrapper: &dyn Wrapper, contents: &Contents) -> Result<usize> {
        let members = &contents.members;
        let list = || members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ");
        match (self.member, members.as_slice()) {
            (_, []) => Err(Error::unsupported("it holds no disk")),
            (_, [_]) if wrapper.holds_one() => Ok(0),
            (None, [_]) => Ok(0),
            (None, _) => {
                Err(Error::invalid(format!("it holds {} disks, and one has to be named: {}", members.len(), list())))
            }
            (Some(name), _) => members
                .iter()
                .position(|member| member.name == name)
                .or_else(|| name.parse::<usize>().ok()?.checked_sub(1).filter(|&index| index < members.len()))
                .ok_or_else(|| Error::invalid(format!("it holds no disk {name}, but {}", list()))),
        }
    }
}

/// Refuses what is wrapped too often.
fn check_depth(depth: usize) -> Result<()> {
    if depth <= MAX_WRAPPERS {
        return Ok(());
    }
    Err(Error::limit(format!("the image is wrapped more than {MAX_WRAPPERS} times")))
}

/// Wrappers that are taken off at most: an archive in a compressed archive of compressed disks.
const MAX_WRAPPERS: usize = 4;
