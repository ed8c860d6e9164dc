//! Images in a folder.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::convert::Convert;
use imgfmt_core::{
    Backing, Beneath, Chain, CreateRequest, FileStorage, FileTarget, Format, Image, Limits, Opener, Options, Result,
    Siblings, Target,
};
use imgfmt_vmdk::Vmdk;

/// How an image is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How<'a> {
    /// Options as on a command line.
    pub(crate) options: &'a str,
    /// Threads; 0 for one.
    pub(crate) threads: usize,
    /// Whether zeros take space.
    pub(crate) full: bool,
    /// What it builds on.
    pub(crate) backing: Option<&'a Backing>,
    /// Layers from which on it is left to what it builds on.
    pub(crate) absent_from: Option<u16>,
}

/// A folder that goes away.
#[derive(Debug)]
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room for tests"))
    }

    /// The place of the file called `name`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// A new file as a target.
    pub(crate) fn target(&self, name: &Path) -> Arc<dyn Target> {
        let file = std::fs::File::create(self.0.path().join(name)).expect("the folder is there");
        Arc::new(FileTarget::new(file).expect("it is a file"))
    }

    /// Writes `image` as `name`.
    pub(crate) fn write_as(&self, name: &str, image: &dyn Image, how: &How<'_>) -> Result<()> {
        let options = Options::parse(how.options)?;
        let request = CreateRequest {
            file_name: Some(name.as_ref()),
            files: self,
            full_allocation: how.full,
            backing: how.backing,
            ..CreateRequest::new(image.size(), &options)
        };
        let writer = Vmdk.create(self.target(name.as_ref()), &request)?;
        let threads = NonZeroUsize::new(how.threads).unwrap_or(NonZeroUsize::MIN);
        let convert = Convert { threads, absent_from: how.absent_from, ..Convert::default() };
        convert.run(image, writer).map(drop)
    }

    /// Writes `image` as `name` with `options`.
    pub(crate) fn write(&self, name: &str, image: &dyn Image, options: &str) -> Result<()> {
        self.write_as(name, image, &How { options, ..How::default() })
    }

    /// Opens the image called `name` with all that it builds on.
    pub(crate) fn open(&self, name: &str) -> Result<Chain> {
        let mut gate = Beneath::new();
        gate.allow(self.0.path())?;
        let (formats, limits): ([&dyn Format; 1], _) = ([&Vmdk], Limits::default());
        let path = self.path(name);
        Opener::new(&formats, &gate, &limits).open(Arc::new(FileStorage::open(&path)?), Some(&path), None)
    }

    /// The names of all files, sorted, and their bytes.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = self.0.path().read_dir().expect("the folder is there").flatten();
        let mut files: Vec<_> = entries
            .map(|entry| {
                (entry.file_name().into_string().expect("UTF-8"), std::fs::read(entry.path()).expect("a file"))
            })
            .collect();
        files.sort();
        files
    }
}

impl Siblings for Folder {
    fn create(&self, name: &Path) -> Result<Arc<dyn Target>> {
        Ok(self.target(name))
    }
}
