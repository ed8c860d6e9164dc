//! What an image stores, moved into the file that it builds on.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use imgfmt_core::convert::{Cancel, Progress};
use imgfmt_core::open::BELOW;
use imgfmt_core::{
    AlignedBuf, Backing, Chain, Edit, Erase, Error, ErrorKind, FileMedium, Identity, Image, ImageEditor, ImageExt,
    Layer, Locking, Medium, OpenContext, Opened, Opener, Options, ParentName, Preallocation, Reference, Result, Role,
    Storage, workers,
};

use super::backing::folder_of;
use super::commit_plan::{Hole, Piece, Plan};
use super::edited::{Edited, close_after};
use super::files::HostFile;
use super::open::{Access, storage};
use super::pace::Pace;
use super::request::Source;
use super::store::{Storing, Zeros, buffer};

/// Which image is to be written into which of the files that it builds on.
#[derive(Clone)]
pub struct CommitRequest<'a> {
    /// The image.
    pub source: Source,
    /// The file below that is written: all layers above it are. `None` is the one that the image names.
    pub base: Option<PathBuf>,
    /// Whether the image keeps what it stores. With a [`base`](Self::base), it does always.
    pub keep: bool,
    /// Guest bytes that are written in a second at most.
    pub rate_limit: Option<u64>,
    /// Called after each part of the disk that is settled.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Stops the work. The image is as it was then, and reads as it did.
    pub cancel: Cancel,
    /// What the image and the files below may do while they are opened; the gate has to admit that the base is written.
    pub access: Access<'a>,
}

impl CommitRequest<'_> {
    /// The image at `path`, in a format that is probed, is to be written into the file that it names, and emptied.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            source: Source { path: path.into(), format: None },
            base: None,
            keep: false,
            rate_limit: None,
            progress: None,
            cancel: Cancel::default(),
            access: Access::default(),
        }
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The file that was written.
    pub base: PathBuf,
    /// Guest bytes that were written into the base, zeros included.
    pub bytes: u64,
}

/// Writes what an image stores into a file that it builds on, which becomes larger where the image's disk is. That file is
/// flushed before the image is emptied.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where the image builds on nothing, or not on the base;
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the base's format cannot be changed; what opening, reading and
/// writing say, and [`Cancelled`](imgfmt_core::ErrorKind::Cancelled). The image reads as before then.
pub fn commit(request: &CommitRequest<'_>) -> Result<Committed> {
    commit_layers(request).map_err(|e| e.context(format!("cannot commit {}", request.source.path.display())))
}

/// Commits.
fn commit_layers(request: &CommitRequest<'_>) -> Result<Committed> {
    let keep = request.keep || request.base.is_some();
    if keep {
        return into_base(request, &kept(request)?, None);
    }
    let image = Edited::open(&request.source, &request.access)?;
    // That the image cannot be emptied shall be known before anything is written.
    image.edit(|_| Ok(()))?;
    let committed = into_base(request, &image.storage(), Some(image.kind.name))?;
    image.edit(|editor| {
        let size = editor.image()?.size();
        if size > 0 { editor.erase(0..size, Erase::Absent) } else { Ok(()) }
    })?;
    Ok(committed)
}

/// The file of an image that is kept. It may have to know its base by something else afterwards, so it is locked to be written;
/// one that may only be read is read.
fn kept(request: &CommitRequest<'_>) -> Result<Arc<dyn Storage>> {
    match request.access.medium(&request.source.path) {
        Err(error) if error.kind() == ErrorKind::Refused => {
            storage(&request.source.path, request.source.format.as_deref(), &request.access)
        }
        medium => Ok(medium?),
    }
}

/// Writes what the layers above the base store into it. The top layer's file is in `storage`.
fn into_base(request: &CommitRequest<'_>, storage: &Arc<dyn Storage>, format: Option<&str>) -> Result<Committed> {
    let format = format.or(request.source.format.as_deref());
    let opener = Opener { wrappers: &[], ..request.access.opener() };
    let mut layers = opener.open_layers(Arc::clone(storage), request.access.place(&request.source.path), format)?;
    let index = base_index(request, &layers)?;
    let below = layers.split_off(index + 1);
    let base = layers.pop().ok_or_else(|| Error::invalid("a chain needs a layer"))?;
    let child = Child::of(request, &layers);
    let base = Base::open(request, base, index)?;
    let done = base.take(request, layers, below);
    // What the base is known by may have changed with its bytes, also where not all of them were written.
    let renewed = child.follow(request, &base);
    let done = done?;
    renewed?;
    Ok(done)
}

/// Which of the layers is the base.
fn base_index(request: &CommitRequest<'_>, layers: &[Layer]) -> Result<usize> {
    if layers.len() < 2 {
        return Err(Error::invalid("the image builds on no other file"));
    }
    let Some(name) = &request.base else {
        return Ok(1);
    };
    let places = [name.clone(), folder_of(&request.source.path).join(name)];
    let wanted = places.iter().find_map(|place| HostFile::at(place));
    let is_base = |layer: &Layer| wanted.is_some() && layer.path.as_deref().and_then(HostFile::at) == wanted;
    let found = layers.iter().skip(1).position(is_base);
    found
        .map(|index| index + 1)
        .ok_or_else(|| Error::invalid(format!("the image does not build on {}", name.display())))
}

/// The layer right above the base, by which the base is known.
struct Child {
    /// Where it is.
    path: Option<PathBuf>,
    /// Its format.
    format: &'static str,
    /// How it names the base.
    parent: Option<ParentName>,
    /// Whether it is the image itself.
    is_top: bool,
}

impl Child {
    /// The last of the layers above the base.
    fn of(request: &CommitRequest<'_>, above: &[Layer]) -> Self {
        let last = above.last();
        let is_top = above.len() == 1;
        Self {
            path: if is_top { Some(request.source.path.clone()) } else { last.and_then(|layer| layer.path.clone()) },
            format: last.map_or("", |layer| layer.format),
            parent: last.and_then(|layer| layer.image.describe().parent),
            is_top,
        }
    }

    /// Writes into the child by what the base is known now, where that has changed.
    fn follow(&self, request: &CommitRequest<'_>, base: &Base<'_>) -> Result<()> {
        let now = base.layer()?;
        let identities = now.image.describe().identities;
        let reparent = request.access.opener().by_name(self.format)?.abilities().reparent;
        let (Some(path), Some(parent), Some(reparent)) = (&self.path, &self.parent, reparent) else {
            return Ok(());
        };
        if identities == base.identities {
            return Ok(());
        }
        let access = request.access.below();
        let backing =
            Backing { name: parent.clone(), path: Some(base.path.clone()), identities, size: now.image.size() };
        // Only the image itself was named by the caller.
        let remote = if self.is_top { request.access.remote(path)? } else { None };
        let place = remote.is_none().then_some(path.as_path());
        let context = OpenContext { path: place, ..access.opener().context };
        let medium: Arc<dyn Medium> = match remote {
            Some(remote) => remote.open_to_write()?,
            // It may be open, and then it is locked already.
            None if self.is_top => Arc::new(FileMedium::open(path, Locking::Ignore)?),
            None => Arc::new(FileMedium::open(path, access.locking(Locking::Write))?),
        };
        reparent.set_parent(Arc::clone(&medium), Some(&backing), &context)?;
        medium.sync()
    }
}

/// The file that is written.
struct Base<'a> {
    /// Its bytes.
    medium: Arc<dyn Medium>,
    /// Where it is.
    path: PathBuf,
    /// Its format.
    format: &'static str,
    /// What can change it.
    edit: &'static dyn Edit,
    /// By what it was known.
    identities: Vec<Identity>,
    /// The options for opening it.
    options: Options,
    /// The rules for opening.
    access: Access<'a>,
}

impl<'a> Base<'a> {
    /// Opens `layer`, which is number `index` of the chain, to be written. Its reader, which holds a lock, is let go before.
    fn open(request: &CommitRequest<'a>, layer: Layer, index: usize) -> Result<Self> {
        let opener = request.access.opener();
        let edit = opener.by_name(layer.format)?.abilities().edit;
        let edit = edit.ok_or_else(|| {
            Error::unsupported(format!("images in the format {} cannot be changed where they are", layer.format))
        })?;
        // Its bitmaps hold its file as well.
        let Layer { image, format, path, bitmaps, .. } = layer;
        let identities = image.describe().identities;
        drop((image, bitmaps));
        let path = path.ok_or_else(|| Error::unsupported("the base is no file of its own"))?;
        let reference = Reference { from: Some(&request.source.path), name: &path, role: Role::Parent };
        let medium = request.access.gate.open_to_write(&reference)?.medium;
        let mut options = (Options::new(), request.access.options.clone());
        for _ in 0..=index {
            options = options.1.split(BELOW);
        }
        Ok(Self { medium, path, format, edit, identities, options: options.0, access: request.access.clone() })
    }

    /// What the format may use.
    fn context(&self) -> OpenContext<'_> {
        OpenContext { path: Some(&self.path), options: &self.options, ..self.access.opener().context }
    }

    /// The base as it is now.
    fn layer(&self) -> Result<Opened> {
        let opener = Opener { wrappers: &[], context: self.context(), ..self.access.opener() };
        let storage = Arc::clone(&self.medium) as Arc<dyn Storage>;
        opener.open_layer(storage, Some(&self.path), Some(self.format)).map(|(opened, _)| opened)
    }

    /// Writes into the base, which builds on `below`, what `above` stores, and flushes it.
    fn take(&self, request: &CommitRequest<'_>, above: Vec<Layer>, below: Vec<Layer>) -> Result<Committed> {
        let editor = self.edit.edit(Arc::clone(&self.medium), &self.context()).map_err(|e| e.in_format(self.format))?;
        close_after(editor, |editor| self.take_with(request, editor, above, below))
            .map_err(|e| e.in_format(self.format))
    }

    /// Writes with `editor`.
    fn take_with(
        &self,
        request: &CommitRequest<'_>,
        editor: &dyn ImageEditor,
        above: Vec<Layer>,
        below: Vec<Layer>,
    ) -> Result<Committed> {
        let before = editor.image()?;
        let (base_size, unit) = (before.size(), before.describe().cluster_size.unwrap_or(DEFAULT_UNIT).max(1));
        let builds_on = !below.is_empty();
        drop(before);
        let depth = u16::try_from(above.len()).map_err(|_| Error::limit("the chain has too many layers"))?;
        let mut above: Vec<_> = above.into_iter().map(|layer| layer.image).collect();
        above.push(Box::new(Hole { size: base_size }));
        let above = Chain::new(above)?;
        if above.size() > base_size {
            if let Some(parent) = below.first() {
                editor.set_parent_size(parent.image.size());
            }
            editor.resize(above.size(), Preallocation::Off)?;
        }
        let under = Under::new(editor, below)?;
        let mut plan = Plan::new(&above, depth, base_size, if builds_on { unit } else { 1 });
        let (moved, mut pace) = (AtomicU64::new(0), Pace::new(request.rate_limit));
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let next = || {
            let piece = plan.next_piece()?;
            if let Some(Piece::Copy(range)) = &piece {
                pace.wait(range.end - range.start, &request.cancel);
            }
            Ok(piece)
        };
        let storing = Storing { editor, unit, zeros: Zeros::Erased, compression: None };
        workers::run(threads, &request.cancel, next, |piece| {
            let (Piece::Copy(range) | Piece::Zero(range)) = &piece;
            match &piece {
                Piece::Zero(range) => editor.erase(range.clone(), Erase::Zero)?,
                Piece::Copy(range) => {
                    let bytes = under.with_above(&above, depth, range)?;
                    storing.store(range.start, &bytes, &|_| false)?;
                }
            }
            let stored = moved.fetch_add(range.end - range.start, Ordering::Relaxed) + range.end - range.start;
            tell(request, Progress { done: range.end.min(above.size()), size: above.size(), stored });
            Ok(())
        })?;
        editor.flush()?;
        let stored = moved.into_inner();
        tell(request, Progress { done: above.size(), size: above.size(), stored });
        Ok(Committed { base: self.path.clone(), bytes: stored })
    }
}

/// The base with what it builds on, where parts of its units come from.
struct Under(Option<Chain>);

impl Under {
    /// What is under the layers that are committed; needed only where the base has a parent.
    fn new(editor: &dyn ImageEditor, below: Vec<Layer>) -> Result<Self> {
        if below.is_empty() {
            return Ok(Self(None));
        }
        let mut layers = vec![editor.image()?];
        layers.extend(below.into_iter().map(|layer| layer.image));
        Chain::new(layers).map(|chain| Self(Some(chain)))
    }

    /// The bytes of `range` as they are once what `above` stores in its first `depth` layers is over them.
    fn with_above(&self, above: &Chain, depth: u16, range: &Range<u64>) -> Result<AlignedBuf> {
        let mut bytes = buffer(range)?;
        let Some(under) = &self.0 else {
            above.read_at(&mut bytes, range.start)?;
            return Ok(bytes);
        };
        let end = range.end.min(under.size());
        let len = usize::try_from(end.saturating_sub(range.start)).unwrap_or(0);
        under.read_at(&mut bytes[..len], range.start)?;
        above.visit_extents(range.start..range.end.min(above.size()), &mut |extent| {
            if extent.layer > depth {
                return Ok(());
            }
            let at = usize::try_from(extent.start - range.start).unwrap_or(usize::MAX);
            let len = usize::try_from(extent.len).unwrap_or(usize::MAX);
            above.read_at(&mut bytes[at..at + len], extent.start)
        })?;
        Ok(bytes)
    }
}

/// Tells how far it is.
fn tell(request: &CommitRequest<'_>, progress: Progress) {
    if let Some(tell) = request.progress {
        tell(progress);
    }
}

/// Bytes that are written or erased as one where the base has no units of one size.
const DEFAULT_UNIT: u64 = 64 << 10;
