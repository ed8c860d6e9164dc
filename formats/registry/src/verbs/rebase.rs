//! Another backing file for an image.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::codec::Compression;
use imgfmt_core::convert::{Cancel, Progress};
use imgfmt_core::{
    AlignedBuf, Backing, Chain, Description, Encoded, Error, Extent, ExtentKind, ExtentSink, Image, ImageEditor,
    ImageExt, Kept, Layer, Opener, Pairs, ParentName, Result, Storage, workers,
};

use super::backing::{as_stored, backing_of, folder_of, resolve};
use super::edited::Edited;
use super::open::{Access, open_layers};
use super::request::Source;
use super::store::{Storing, Zeros, buffer};

/// Which image is to build on another one.
#[derive(Clone)]
pub struct RebaseRequest<'a> {
    /// The image.
    pub source: Source,
    /// The file that it shall build on: the name is stored as it is here, and a relative one is relative to the image's
    /// folder. Without a format, it is probed. `None`: the image shall stand alone.
    pub backing: Option<ParentName>,
    /// Whether only the name is changed: neither the old nor the new backing file is opened.
    pub unchecked: bool,
    /// Whether what is written into the image is compressed, where the format's editor can.
    pub compress: bool,
    /// Called from any thread, after each part of the disk that is settled.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Stops the work. What was written by then is as the disk was before, and the old backing file stays.
    pub cancel: Cancel,
    /// What the image and the backing files may do while they are opened.
    pub access: Access<'a>,
}

impl RebaseRequest<'_> {
    /// The image at `path`, in a format that is probed, shall build on `backing`.
    pub fn new(path: impl Into<PathBuf>, backing: Option<ParentName>) -> Self {
        Self {
            source: Source { path: path.into(), format: None },
            backing,
            unchecked: false,
            compress: false,
            progress: None,
            cancel: Cancel::default(),
            access: Access::default(),
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebased {
    /// Bytes of guest data that were written into the image since the new file does not have them, zeros not counted.
    pub bytes: u64,
}

/// Makes an image build on another file, or on none. The disk reads as before: where the old and the new backing file differ,
/// the old bytes are written into the image and flushed, and then the name is changed. With
/// [`unchecked`](RebaseRequest::unchecked) it reads as the new file says.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the format cannot, what opening, reading and writing say, and
/// [`Cancelled`](imgfmt_core::ErrorKind::Cancelled). The image builds on the old file then.
pub fn rebase(request: &RebaseRequest<'_>) -> Result<Rebased> {
    let done = if request.unchecked { rename(request).map(|()| Rebased { bytes: 0 }) } else { rebase_safely(request) };
    done.map_err(|e| e.context(format!("cannot rebase {}", request.source.path.display())))
}

/// Changes the name alone. Where a format knows its parent by more than that, the new one is looked at after all.
fn rename(request: &RebaseRequest<'_>) -> Result<()> {
    let image = Edited::open(&request.source, &request.access)?;
    let reparent = image.kind.need(image.kind.abilities.reparent, NONE)?;
    let size = image.layer()?.image.size();
    let backing = request.backing.as_ref().map(|name| Backing {
        name: as_stored(name),
        path: folder_of(&request.source.path).join(&name.name).canonicalize().ok(),
        identities: Vec::new(),
        size,
    });
    let set = |backing: Option<&Backing>| reparent.set_parent(image.medium(), backing, &image.context());
    let looked_at = || {
        let found = resolve(&request.source.path, request.backing.as_ref()?, &request.access).ok()?.backing;
        (!found.identities.is_empty()).then_some(Backing { size, ..found })
    };
    let done = set(backing.as_ref()).or_else(|error| looked_at().map_or(Err(error), |found| set(Some(&found))));
    done.and_then(|()| image.medium().sync()).map_err(|e| e.in_format(image.kind.name))
}

/// Changes the name once the image has what the new file lacks.
fn rebase_safely(request: &RebaseRequest<'_>) -> Result<Rebased> {
    // Before the image is locked: that it would build on itself is no quarrel between two programs.
    let new = request.backing.as_ref().map(|name| open_backing(request, name)).transpose()?;
    let (new, backing) = new.map_or((Vec::new(), None), |(layers, backing)| (layers, Some(backing)));
    let image = Edited::open(&request.source, &request.access)?;
    let reparent = image.kind.need(image.kind.abilities.reparent, NONE)?;
    let opener = Opener { wrappers: &[], ..request.access.opener() };
    let mut old = opener.open_layers(image.storage(), image.path(), Some(image.kind.name))?;
    // The image itself is read through its editor, which does not share its other files.
    drop(old.remove(0));
    let bytes = image.edit(|editor| fill(request, editor, old, new))?;
    reparent
        .set_parent(image.medium(), backing.as_ref(), &image.context())
        .and_then(|()| image.medium().sync())
        .map_err(|e| e.in_format(image.kind.name))?;
    Ok(Rebased { bytes })
}

/// Opens the file that the image is to build on.
fn open_backing(request: &RebaseRequest<'_>, name: &ParentName) -> Result<(Vec<Layer>, Backing)> {
    let path = folder_of(&request.source.path).join(&name.name);
    let layers = open_layers(&path, name.format.as_deref(), &request.access.below())?;
    let backing = backing_of(&request.source.path, name, &layers)?;
    Ok((layers, backing))
}

/// Writes into the image what the `new` layers do not have, and flushes it. `old` are those that it builds on. Returns how many
/// bytes were stored.
fn fill(request: &RebaseRequest<'_>, editor: &dyn ImageEditor, old: Vec<Layer>, new: Vec<Layer>) -> Result<u64> {
    let top = editor.image()?;
    let unit = top.describe().cluster_size.unwrap_or(DEFAULT_UNIT).max(1);
    let zeros = if old.is_empty() { Zeros::Written } else { Zeros::Erased };
    let storing = Storing { editor, unit, zeros, compression: compression(request, editor)? };
    let before = on_top(top, old)?;
    let after = on_top(Box::new(OnParent(editor.image()?)), new)?;
    let mut pairs = Pairs::new(&before, &after, unit)?;
    let threads = threads_for(pairs.part_len());
    let (done, stored, buffers) = (AtomicU64::new(0), AtomicU64::new(0), Buffers::default());
    let tell = || {
        let (done, stored) = (done.load(Ordering::Relaxed), stored.load(Ordering::Relaxed));
        if let Some(progress) = request.progress {
            progress(Progress { done, size: before.size(), stored });
        }
    };
    workers::run(
        threads,
        &request.cancel,
        || pairs.next_part(),
        |part| {
            let mut both = buffers.take(&part)?;
            let (old, new) = (&mut both.0[..len_of(&part)], &mut both.1[..len_of(&part)]);
            before.read_at(old, part.start)?;
            after.read_at(new, part.start)?;
            let written = storing.store(part.start, old, &|range| old[range.clone()] == new[range])?;
            stored.fetch_add(written, Ordering::Relaxed);
            done.fetch_max(part.end, Ordering::Relaxed);
            buffers.give(both);
            tell();
            Ok(())
        },
    )?;
    done.store(before.size(), Ordering::Relaxed);
    editor.flush()?;
    tell();
    Ok(stored.into_inner())
}

/// Buffers of parts that are done: memory that was used already is quicker.
#[derive(Default)]
struct Buffers(Mutex<Vec<Both>>);

/// What a part was, and what it would be.
type Both = (AlignedBuf, AlignedBuf);

impl Buffers {
    /// Two buffers that `part` fits into; what is in them is nobody's.
    fn take(&self, part: &Range<u64>) -> Result<Both> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((mut old, mut new)) = used else { return Ok((buffer(part)?, buffer(part)?)) };
        let len = len_of(part);
        old.grow(len);
        new.grow(len);
        Ok((old, new))
    }

    /// Keeps buffers for the next part.
    fn give(&self, both: Both) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(both);
    }
}

/// Bytes of a part, which fits into memory.
fn len_of(part: &Range<u64>) -> usize {
    usize::try_from(part.end - part.start).unwrap_or(usize::MAX)
}

/// How what is written is compressed, where it is.
fn compression(request: &RebaseRequest<'_>, editor: &dyn ImageEditor) -> Result<Option<Compression>> {
    if !request.compress {
        return Ok(None);
    }
    let unable = || Error::unsupported("the image cannot be given compressed bytes where it is");
    editor.compression().ok_or_else(unable).map(Some)
}

/// `top` on `layers`, as one disk.
fn on_top(top: Box<dyn Image>, layers: impl IntoIterator<Item = Layer>) -> Result<Chain> {
    Chain::new(std::iter::once(top).chain(layers.into_iter().map(|layer| layer.image)).collect())
}

/// How many threads may hold two parts of that many bytes each.
fn threads_for(part_len: u64) -> NonZeroUsize {
    let fit = usize::try_from(MAX_HELD / part_len.max(1) / 2).unwrap_or(usize::MAX);
    let all = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    NonZeroUsize::new(fit).map_or(NonZeroUsize::MIN, |fit| fit.min(all))
}

/// An image that leaves to a parent what it has no entry for, also if it has no parent yet.
struct OnParent(Box<dyn Image>);

#[deny(clippy::missing_trait_methods)]
impl Image for OnParent {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        self.0.sources()
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut extents = Vec::new();
        self.0.extents(range, EXTENTS_PER_CALL, &mut extents)?;
        for extent in extents {
            let kind = match extent.kind {
                ExtentKind::Zero { explicit: false } => ExtentKind::Parent,
                kind => kind,
            };
            if !sink.is_full() {
                sink.push_extent(Extent { kind, ..extent });
            }
        }
        Ok(())
    }

    fn stored_body(&self, unit_start: u64, unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        self.0.stored_body(unit_start, unit, stored)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.0.read_at(buf, offset)
    }

    fn describe(&self) -> Description {
        self.0.describe()
    }

    fn kept(&self, range: Range<u64>) -> Result<Kept> {
        self.0.kept(range)
    }
}

/// What images cannot where the format has no parents.
const NONE: &str = "cannot build on another file than they do";
/// Bytes that are compared as one where the image has no units of one size.
const DEFAULT_UNIT: u64 = 64 << 10;
/// Bytes that the parts on their way may hold together.
const MAX_HELD: u64 = 128 << 20;
/// Extents asked for in one call.
const EXTENTS_PER_CALL: usize = 1024;
