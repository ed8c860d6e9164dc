//! An appliance: its description, and the files that it names, in an archive or in a folder.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{Error, ErrorKind, Limits, OpenContext, Result, Role, Storage, StorageExt};

use crate::manifest::Manifest;
use crate::ovf::{Disk, Envelope, File};
use crate::pieces::Pieces;
use crate::{href, tar};

/// An appliance that has been looked at.
pub(crate) struct Package<'a> {
    /// Where its files are.
    pub(crate) place: Place<'a>,
    /// The name of the description.
    pub(crate) name: String,
    /// The description.
    pub(crate) envelope: Envelope,
    /// The hashes of its files.
    pub(crate) manifest: Option<Manifest>,
    /// Bounds and the gate.
    context: &'a OpenContext<'a>,
}

/// Where the files of an appliance are.
pub(crate) enum Place<'a> {
    /// In an archive.
    Archive {
        /// The archive.
        storage: &'a Arc<dyn Storage>,
        /// Its files by their names.
        files: HashMap<String, tar::File>,
    },
    /// Beside the description.
    Folder,
}

impl<'a> Package<'a> {
    /// Reads the description and the manifest of the appliance in `storage`, an archive or a description.
    ///
    /// # Errors
    ///
    /// As [`Wrapper::contents`](imgfmt_core::Wrapper::contents).
    pub(crate) fn read(storage: &'a Arc<dyn Storage>, context: &'a OpenContext<'a>) -> Result<Self> {
        let is_archive = tar::header::Header::recognise(&first_block(storage.as_ref())?);
        let mut package = if is_archive { Self::archive(storage, context)? } else { Self::folder(storage, context)? };
        package.manifest = package.find_manifest()?;
        if let Some(manifest) = &package.manifest {
            manifest.check(&package.name, package.description(storage)?.as_ref())?;
        }
        Ok(package)
    }

    /// The appliance in the archive in `storage`.
    fn archive(storage: &'a Arc<dyn Storage>, context: &'a OpenContext<'a>) -> Result<Self> {
        let files = tar::files(storage.as_ref(), context.limits)?;
        let descriptions: Vec<_> = files.iter().filter(|file| is_description(&file.name)).cloned().collect();
        let description = match descriptions.as_slice() {
            [one] => one,
            [] => return Err(Error::unsupported("the archive has no description")),
            [first, second, ..] => {
                let what = format!("the archive has two descriptions, {} and {}", first.name, second.name);
                return Err(Error::malformed(what));
            }
        };
        let envelope = parse(description.open(storage)?.as_ref(), context.limits)
            .map_err(|e| e.context(format!("cannot read {}", description.name)))?;
        let files = files.into_iter().map(|file| (file.name.clone(), file)).collect();
        let place = Place::Archive { storage, files };
        Ok(Self { place, name: description.name.clone(), envelope, manifest: None, context })
    }

    /// The appliance whose description is `storage`.
    fn folder(storage: &'a Arc<dyn Storage>, context: &'a OpenContext<'a>) -> Result<Self> {
        let envelope = parse(storage.as_ref(), context.limits)?;
        let name = context.path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { place: Place::Folder, name, envelope, manifest: None, context })
    }

    /// The bytes of the description.
    fn description(&self, storage: &Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        match &self.place {
            Place::Archive { .. } => self.file(&self.name)?.ok_or_else(|| missing(&self.name)),
            Place::Folder => Ok(Arc::clone(storage)),
        }
    }

    /// The manifest, which has the name of the description.
    fn find_manifest(&self) -> Result<Option<Manifest>> {
        let in_folder = matches!(self.place, Place::Folder);
        if in_folder && (self.context.describe_only || self.context.path.is_none()) {
            return Ok(None);
        }
        let stem = self.name.rsplit_once('.').map_or(self.name.as_str(), |(stem, _)| stem);
        let name = format!("{stem}.mf");
        let file = match self.file(&name) {
            // Without leave to open files the disks cannot be read, but they can be listed.
            Err(error) if in_folder && error.kind() == ErrorKind::Refused => None,
            other => other?,
        };
        let Some(file) = file else { return Ok(None) };
        let read = || Manifest::parse(&whole(file.as_ref(), self.context.limits)?);
        read().map(Some).map_err(|e| e.context(format!("cannot read {name}")))
    }

    /// The file called `name`, if it is there.
    fn file(&self, name: &str) -> Result<Option<Arc<dyn Storage>>> {
        match &self.place {
            Place::Archive { storage, files } => files.get(name).map(|file| file.open(storage)).transpose(),
            Place::Folder => match self.context.admit(Path::new(name), Role::Extent) {
                Ok(admitted) => Ok(Some(admitted.storage)),
                Err(error) if error.kind() == ErrorKind::Missing => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// The disks that have content, each with its file.
    ///
    /// # Errors
    ///
    /// [`Malformed`](ErrorKind::Malformed) for a disk whose file is not listed.
    pub(crate) fn disks(&self) -> Result<Vec<(&Disk, &File)>> {
        let mut disks = Vec::new();
        for disk in &self.envelope.disks {
            let Some(id) = &disk.file_ref else { continue };
            let file = self.envelope.file(id)?;
            if !disk.is_cd(&file.href) {
                disks.push((disk, file));
            }
        }
        Ok(disks)
    }

    /// Opens the file of a disk and, unless it is only to be described, compares it with the manifest.
    ///
    /// # Errors
    ///
    /// As [`Wrapper::open`](imgfmt_core::Wrapper::open).
    pub(crate) fn open(&self, disk: &Disk, file: &File) -> Result<Arc<dyn Storage>> {
        if let Some(parent) = &disk.parent_ref {
            return Err(Error::unsupported(format!("the disk builds on another one, {parent}")).field("parentRef"));
        }
        let parts = self.parts(file)?;
        if let (Some(manifest), false) = (&self.manifest, self.context.describe_only) {
            for (name, storage) in &parts {
                manifest.check(name, storage.as_ref())?;
            }
        }
        let mut storages: Vec<_> = parts.into_iter().map(|(_, storage)| storage).collect();
        let storage = match (storages.len(), storages.pop()) {
            (1, Some(storage)) => storage,
            (_, last) => Arc::new(Pieces::joined(storages.into_iter().chain(last).collect())?),
        };
        match file.size {
            Some(size) if size != storage.len() => {
                let what = format!("of {} is {size}, but the file has {} bytes", file.href, storage.len());
                Err(Error::malformed(what).field("size"))
            }
            _ => Ok(storage),
        }
    }

    /// The parts of a file, most often one, with their names.
    fn parts(&self, file: &File) -> Result<Vec<(String, Arc<dyn Storage>)>> {
        let names = href::names(&file.href)?;
        for name in &names {
            if let Some(storage) = self.file(name)? {
                return Ok(vec![(name.clone(), storage)]);
            }
        }
        if let Some(chunk_size) = file.chunk_size {
            for name in &names {
                let chunks = self.chunks(name)?;
                if !chunks.is_empty() {
                    check_chunks(&chunks, chunk_size)?;
                    return Ok(chunks);
                }
            }
        }
        Err(missing(&file.href))
    }

    /// The parts of the file called `name`, as far as they are there.
    fn chunks(&self, name: &str) -> Result<Vec<(String, Arc<dyn Storage>)>> {
        let mut chunks = Vec::new();
        loop {
            let part = format!("{name}.{:09}", chunks.len());
            let Some(storage) = self.file(&part)? else { return Ok(chunks) };
            chunks.push((part, storage));
            Limits::check("chunkSize", chunks.len() as u64, self.context.limits.extents as u64)?;
        }
    }
}

/// Refuses parts that are not of the size that the description says; the last one may be smaller.
fn check_chunks(chunks: &[(String, Arc<dyn Storage>)], chunk_size: u64) -> Result<()> {
    for (index, (name, storage)) in chunks.iter().enumerate() {
        let is_right = if index + 1 < chunks.len() { storage.len() == chunk_size } else { storage.len() <= chunk_size };
        if !is_right {
            let what = format!("is {chunk_size}, but {name} has {} bytes", storage.len());
            return Err(Error::malformed(what).field("chunkSize"));
        }
    }
    Ok(())
}

/// The description in `storage`.
fn parse(storage: &dyn Storage, limits: &Limits) -> Result<Envelope> {
    Envelope::parse(&whole(storage, limits)?, limits)
}

/// All bytes of a text file.
fn whole(storage: &dyn Storage, limits: &Limits) -> Result<Vec<u8>> {
    Limits::check("length", storage.len(), limits.descriptor_bytes)?;
    storage.read_vec(0, usize::try_from(storage.len()).unwrap_or(usize::MAX))
}

/// The first block of a file, which may be shorter.
fn first_block(storage: &dyn Storage) -> Result<[u8; tar::header::LEN]> {
    let mut block = [0; tar::header::LEN];
    storage.read_padded(&mut block, 0)?;
    Ok(block)
}

/// Whether a file in an archive is a description, by its name.
pub(crate) fn is_description(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".ovf")
}

/// A file that is not where the description says.
fn missing(name: &str) -> Error {
    Error::new(ErrorKind::Missing, format!("the file {name}, which the description names, is not there"))
}
