//! Taking off what an image is wrapped in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Opener;
use crate::format::OpenContext;
use crate::storage::Storage;
use crate::wrap::{Contents, Wrapper};
use crate::{Error, Result, probe};

impl<'a> Opener<'a> {
    /// Takes off what the file in `storage`, which is at `path` if it is a file, is wrapped in. Whoever gives the fallback
    /// for a `format` means the bytes as they are.
    ///
    /// # Errors
    ///
    /// As [`Wrapper::contents`] and [`Wrapper::open`]; [`LimitExceeded`](crate::ErrorKind::LimitExceeded) for a file that
    /// is wrapped too often. That it is not known which of several images is meant is no error yet.
    pub fn unwrap(&self, storage: Arc<dyn Storage>, path: Option<&Path>, format: Option<&str>) -> Result<Unwrapped> {
        let (path, format) = (path.map(Path::to_path_buf), format.map(str::to_owned));
        let mut found = Unwrapped { storage, path, format, wrappers: Vec::new(), undecided: None };
        while let Some(wrapper) = self.wrapper_of(&found.storage, found.format.as_deref())? {
            if found.wrappers.len() >= MAX_WRAPPERS {
                return Err(Error::limit(format!("the image is wrapped more than {MAX_WRAPPERS} times")));
            }
            let within = |e: Error| e.in_format(wrapper.name());
            let context = OpenContext { path: found.path.as_deref(), ..self.context };
            let contents = wrapper.contents(&found.storage, &context).map_err(within)?;
            match self.pick(wrapper, &contents).map_err(within) {
                Err(error) => found.undecided = Some(error),
                Ok(index) => {
                    found.storage = wrapper.open(&found.storage, index, &context).map_err(within)?;
                    found.path = None;
                    let said = contents.members[index].format.as_deref();
                    found.format = match (found.format.take(), said) {
                        (None, Some(name)) => self.hinted(&found.storage, name)?,
                        (format, _) => format,
                    };
                }
            }
            found.wrappers.push((wrapper.name(), contents));
            if found.undecided.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// The format that an archive says a member has. What the member itself shows goes before, but not where it is said to
    /// be the fallback: then the guest has written its first bytes, and could have written anything.
    fn hinted(&self, storage: &Arc<dyn Storage>, name: &str) -> Result<Option<String>> {
        let Ok(format) = self.by_name(name) else { return Ok(None) };
        let is_wrapped = self.wrapper_of(storage, None)?.is_some();
        let shows = || Ok::<_, Error>(!probe::probe(self.formats, storage.as_ref())?.is_empty());
        let is_hint_alone = self.fallback != Some(format.name());
        if is_wrapped || (is_hint_alone && shows()?) {
            return Ok(None);
        }
        Ok(Some(format.name().to_owned()))
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

/// A file, and what it was wrapped in.
pub struct Unwrapped {
    /// The bytes of the image.
    pub storage: Arc<dyn Storage>,
    /// Where it is, if it is a file of its own: the one that was given, where nothing was taken off.
    pub path: Option<PathBuf>,
    /// Its format, where the caller or what it was wrapped in says so.
    pub format: Option<String>,
    /// The names of the wrappers that were taken off, the outermost first, and what each holds.
    pub wrappers: Vec<(&'static str, Contents)>,
    /// Why the last wrapper could not be taken off, where it holds several images or none: the storage is its own then.
    pub undecided: Option<Error>,
}

/// Wrappers that are taken off at most: an archive in a compressed archive of compressed disks.
const MAX_WRAPPERS: usize = 4;
