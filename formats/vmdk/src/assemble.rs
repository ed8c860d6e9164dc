//! From extent lines to a disk: files through the gate, one extent behind the other.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{Description, Error, Limits, OpenContext, Opened, Parent, Result, Role, SourceId, Storage};

use crate::descriptor::{Descriptor, ExtentLine, ExtentType};
use crate::info::{self, ExtentInfo};
use crate::layout::{SECTOR_LEN, byte_of};
use crate::map::{Content, DiskExtent, VmdkImage};
use crate::parent;
use crate::sparse::SparseExtent;
use crate::tables::TableCache;

/// A disk that is being put together.
pub(crate) struct Assembly<'a> {
    /// What may be used.
    context: OpenContext<'a>,
    /// Bytes of grain directories that may still be held.
    limits: Limits,
    /// The files.
    sources: Vec<Arc<dyn Storage>>,
    /// Files by the name that extent lines give them.
    opened: HashMap<Vec<u8>, (SourceId, String)>,
    /// The descriptor, where it is a file of its own.
    pub(crate) descriptor_file: Option<Arc<dyn Storage>>,
    /// The extents so far.
    extents: Vec<DiskExtent>,
    /// What is to be said about them.
    infos: Vec<ExtentInfo>,
    /// Guest bytes so far.
    size: u64,
}

impl<'a> Assembly<'a> {
    /// A disk of nothing yet.
    pub(crate) fn new(context: OpenContext<'a>) -> Self {
        let limits = *context.limits;
        Self {
            context,
            limits,
            sources: Vec::new(),
            opened: HashMap::new(),
            descriptor_file: None,
            extents: Vec::new(),
            infos: Vec::new(),
            size: 0,
        }
    }

    /// Adds the sparse extent that the opened file itself is.
    pub(crate) fn add_embedded(&mut self, storage: Arc<dyn Storage>, sparse: SparseExtent) {
        let filename = self.context.path.map(|path| path.display().to_string()).unwrap_or_default();
        self.sources.push(storage);
        self.push(filename, "", sparse.size(), Content::Sparse(Box::new(sparse)));
    }

    /// Adds the extents of all lines, after a look at all lines: no file is opened for a disk that cannot
    /// be read.
    pub(crate) fn add_lines(&mut self, descriptor: &Descriptor) -> Result<()> {
        if descriptor.extents.is_empty() {
            return Err(Error::malformed("the descriptor has no extent line"));
        }
        descriptor.extents.iter().try_for_each(check_readable)?;
        self.check_size(&descriptor.extents)?;
        descriptor.extents.iter().try_for_each(|line| self.add_line(descriptor, line))
    }

    /// Checks the size of the disk.
    fn check_size(&self, lines: &[ExtentLine]) -> Result<()> {
        let mut size = 0_u64;
        for line in lines {
            size = size.saturating_add(line.sectors.saturating_mul(SECTOR_LEN));
        }
        Limits::check("virtual size", size, self.limits.virtual_size.min(i64::MAX as u64))
    }

    /// Adds the extent of one line.
    fn add_line(&mut self, descriptor: &Descriptor, line: &ExtentLine) -> Result<()> {
        let size = byte_of(line.sectors);
        let hidden = match (line.readable, self.context.describe_only) {
            (false, _) => Some(Content::Hidden("is NOACCESS: its bytes are part of the disk and may not be read")),
            (true, true) => Some(Content::Hidden("is in a file that was not opened")),
            (true, false) => None,
        };
        if line.kind == ExtentType::Zero {
            self.push(
                String::new(),
                line.kind.name(),
                size,
                hidden.filter(|_| !line.readable).unwrap_or(Content::Zero),
            );
            return Ok(());
        }
        if let Some(hidden) = hidden {
            self.push(self.shown(&descriptor.encoding.path(&line.name)?), line.kind.name(), size, hidden);
            return Ok(());
        }
        let (source, filename) = self.admit(descriptor, line)?;
        let content = match line.kind {
            ExtentType::Sparse | ExtentType::VmfsSparse | ExtentType::SeSparse => {
                self.open_sparse(source, line.sectors)
            }
            _ => self.place_flat(source, line),
        };
        let content = content.map_err(|e| e.context(format!("cannot use the extent {filename}")))?;
        let size = match &content {
            Content::Sparse(sparse) => sparse.size(),
            _ => size,
        };
        Limits::check("virtual size", self.size.saturating_add(size), self.limits.virtual_size.min(i64::MAX as u64))?;
        self.push(filename, line.kind.name(), size, content);
        Ok(())
    }

    /// The file that a line names, through the gate; a file that was named before is not opened again.
    fn admit(&mut self, descriptor: &Descriptor, line: &ExtentLine) -> Result<(SourceId, String)> {
        if let Some(known) = self.opened.get(&line.name) {
            return Ok(known.clone());
        }
        let name = descriptor.encoding.path(&line.name)?;
        if name.as_os_str().is_empty() {
            return Err(Error::malformed("names no file").field("extent line").at(line.at));
        }
        let admitted = self.context.admit(&name, Role::Extent)?;
        let source = SourceId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        self.sources.push(admitted.storage);
        let known = (source, self.shown(&name));
        self.opened.insert(line.name.clone(), known.clone());
        Ok(known)
    }

    /// The file called `name` as seen from where the caller stands, as QEMU shows it.
    pub(crate) fn shown(&self, name: &Path) -> String {
        let folder = self.context.path.and_then(Path::parent);
        folder.map_or(name.to_path_buf(), |folder| folder.join(name)).display().to_string()
    }

    /// The sparse extent in a file of its own. All directories together stay within the limit.
    fn open_sparse(&mut self, source: SourceId, sectors: u64) -> Result<Content> {
        let storage = Arc::clone(&self.sources[source.0 as usize]);
        let sparse = SparseExtent::open(storage, source, &self.limits)?.with_line(sectors)?;
        self.limits.metadata_bytes = self.limits.metadata_bytes.saturating_sub(sparse.directory.held_len());
        Ok(Content::Sparse(Box::new(sparse)))
    }

    /// The flat extent in a file, which has to hold all of it, unless what is left of it is to be had.
    fn place_flat(&self, source: SourceId, line: &ExtentLine) -> Result<Content> {
        let host = byte_of(line.offset);
        let end = host.saturating_add(byte_of(line.sectors));
        let there = self.sources[source.0 as usize].len();
        if end > there && !self.context.salvage {
            let what = format!(
                "the descriptor wants {} sectors from here on, but the file ends at byte {there}",
                line.sectors
            );
            return Err(Error::out_of_bounds(what).at(host));
        }
        Ok(Content::Flat { source, host })
    }

    /// Adds an extent. One without guest bytes is named, but never asked.
    fn push(&mut self, filename: String, format: &'static str, size: u64, content: Content) {
        self.infos.push(ExtentInfo::new(filename, format, size, &content));
        if size > 0 {
            self.extents.push(DiskExtent { start: self.size, size, content });
            self.size += size;
        }
    }

    /// Makes a file that extent lines call `name` known, so that it is not asked for.
    pub(crate) fn add_file(&mut self, name: &[u8], storage: Arc<dyn Storage>, filename: String) {
        let source = SourceId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        self.sources.push(storage);
        self.opened.insert(name.to_vec(), (source, filename));
    }

    /// The disk, as `descriptor` describes it, and its parent's name.
    pub(crate) fn finish(self, descriptor: &Descriptor) -> Result<Opened> {
        let (image, parent) = self.into_image(descriptor)?;
        Ok(Opened { image: Box::new(image), parent, bitmaps: Vec::new() })
    }

    /// The same, with the disk as it is.
    pub(crate) fn into_image(self, descriptor: &Descriptor) -> Result<(VmdkImage, Option<Parent>)> {
        let parent = parent::of(descriptor)?;
        let description = Description {
            parent: parent.as_ref().map(parent::shown),
            identities: parent::identities(descriptor),
            ..info::describe(descriptor, &self.infos, &self.extents)
        };
        let image = VmdkImage {
            extents: self.extents,
            sources: self.sources,
            _descriptor_file: self.descriptor_file,
            has_parent: parent.is_some(),
            description,
            cache: TableCache::new(),
        };
        Ok((image, parent))
    }
}

/// Checks that the extent of a line is of a kind that is read here. One that may not be read keeps its place.
fn check_readable(line: &ExtentLine) -> Result<()> {
    match line.kind {
        ExtentType::Foreign(name) if line.readable => {
            let what = format!("is of type {name}, which cannot be read");
            Err(Error::unsupported(what).field("extent line").at(line.at))
        }
        _ => Ok(()),
    }
}
