//! Images to be edited.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::conformance::{Disk, Edited, Fill};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    Backing, CreateRequest, FileTarget, Format, Identity, Options, ParentName, Secrets, Siblings, Target,
};
use imgfmt_vmdk::Vmdk;

/// An image in files.
pub(crate) struct Made {
    /// The files.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// Options for opening: none.
    options: Options,
    /// Secrets: none.
    secrets: Secrets,
}

/// A folder that images are written to.
pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The place of the file called `name`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes files.
    pub(crate) fn put(&self, files: &[(String, Vec<u8>)]) {
        files.iter().for_each(|(name, bytes)| std::fs::write(self.path(name), bytes).unwrap());
    }

    /// The files.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = self.0.path().read_dir().unwrap().flatten();
        let mut files: Vec<_> = entries
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    }

    /// A new file.
    fn target(&self, name: &Path) -> Arc<dyn Target> {
        let file = std::fs::File::create(self.0.path().join(name)).unwrap();
        Arc::new(FileTarget::new(file).unwrap())
    }
}

impl Siblings for Folder {
    fn create(&self, name: &Path) -> imgfmt_core::Result<Arc<dyn Target>> {
        Ok(self.target(name))
    }
}

impl Made {
    /// These files.
    pub(crate) fn of(files: Vec<(String, Vec<u8>)>) -> Self {
        Self { files, options: Options::new(), secrets: Secrets::new() }
    }

    /// What the kit asks for of the image called `disk.vmdk`.
    pub(crate) fn edited(&self) -> Edited<'_> {
        Edited {
            format: &Vmdk,
            files: &self.files,
            name: "disk.vmdk",
            options: &self.options,
            secrets: &self.secrets,
            size_unit: 512,
            shrinks: true,
        }
    }
}

/// A disk of `size` bytes with data here and there, as `disk.vmdk`.
pub(crate) fn made(options: &str, size: u64) -> Made {
    let disk =
        Disk::new("a disk", usize::try_from(size).unwrap(), &[(0..9000, Fill::Text), (40_000..70_000, Fill::Noise)]);
    let folder = Folder::new();
    write(&folder, "disk.vmdk", &disk, options, None);
    Made::of(folder.files())
}

/// A child as `disk.vmdk` of a base, `base.vmdk`, of `size` bytes that are all data.
pub(crate) fn child(options: &str, size: u64) -> Made {
    let folder = Folder::new();
    let len = usize::try_from(size).unwrap();
    let base = Disk::new("a base", len, &[(0..len, Fill::Noise)]);
    write(&folder, "base.vmdk", &base, "cid=12345678", None);
    let child = Disk::new("a child", len, &[]);
    write(&folder, "disk.vmdk", &child, options, Some(&backing("base.vmdk", size)));
    Made::of(folder.files())
}

/// The base of [`child`], or one called otherwise.
pub(crate) fn backing(name: &str, size: u64) -> Backing {
    Backing {
        name: ParentName { name: name.into(), format: None },
        identities: vec![Identity { kind: "CID", value: "12345678".to_owned() }],
        size,
        ..Backing::default()
    }
}

/// Writes `disk`; a child stores nothing.
fn write(folder: &Folder, name: &str, disk: &Disk, options: &str, backing: Option<&Backing>) {
    let options = Options::parse(options).unwrap();
    let request = CreateRequest {
        file_name: Some(name.as_ref()),
        files: folder,
        backing,
        ..CreateRequest::new(disk.bytes.len() as u64, &options)
    };
    let writer = Vmdk.create(folder.target(name.as_ref()), &request).unwrap();
    let image = disk.image();
    let convert = Convert { absent_from: backing.map(|_| 0), ..Convert::default() };
    convert.run(&image, writer).unwrap();
}
