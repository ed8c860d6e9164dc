//! An image that takes no more space than its bytes need.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::convert::{Cancel, Convert, Progress, is_zero};
use imgfmt_core::{
    Backing, ByteCounts, Chain, Description, Erase, Error, ErrorKind, Findings, Image, ImageEditor, Layer, OpenContext,
    Opener, Options, Repair, Result, Severity, Storage, Window, workers,
};

use super::backing::{as_stored, folder_of};
use super::compact_plan::{Part, Plan, unit_of};
use super::convert::convert_image;
use super::edited::{Edited, Kind, Looked};
use super::files::{ImageFile, image_files};
use super::kept;
use super::open::{Access, open_layer, options_of, storage};
use super::request::{ConvertRequest, Source};
use super::store::buffer;

/// Which image is to be made smaller, and how.
#[derive(Clone)]
pub struct CompactRequest<'a> {
    /// The image.
    pub source: Source,
    /// Where the smaller image goes; `None` replaces the image itself, once the new one is whole.
    pub output: Option<PathBuf>,
    /// Whether the image is changed where it is, in place of being written anew: space that zeros take is given back.
    pub in_place: bool,
    /// Whether the new image is compressed; `None` leaves it as it is.
    pub compress: Option<bool>,
    /// Options of the new image that are to be others than those of the image.
    pub options: Options,
    /// Called from any thread, after each part of the disk that is settled.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Stops the work.
    pub cancel: Cancel,
    /// Threads that work.
    pub threads: NonZeroUsize,
    /// What the image may do while it is opened.
    pub access: Access<'a>,
}

impl CompactRequest<'_> {
    /// The image at `path`, in a format that is probed, is replaced by a smaller one.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            source: Source { path: path.into(), format: None },
            output: None,
            in_place: false,
            compress: None,
            options: Options::default(),
            progress: None,
            cancel: Cancel::default(),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            access: Access::default(),
        }
    }
}

/// What was gained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes that the image's files took on the host before, holes not counted; nothing where that cannot be asked for, as of what is
    /// no file of this host.
    pub before: Option<u64>,
    /// Bytes that they take now, or those of the new image.
    pub after: Option<u64>,
}

/// Makes an image smaller: what is zero is not stored, and space that nothing uses is given back. Format, subformat, options,
/// the backing file's name and bitmaps stay as they are.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for what a new image could not keep, such as internal snapshots, and
/// for formats that cannot be written, or not be changed in place; what opening, reading and writing say, and
/// [`Cancelled`](imgfmt_core::ErrorKind::Cancelled). The image reads as before then.
pub fn compact(request: &CompactRequest<'_>) -> Result<Compacted> {
    let done = match (request.in_place, &request.output) {
        (true, Some(_)) => Err(Error::invalid("an image that is changed where it is has no other output")),
        (true, None) => compact_in_place(request),
        (false, output) => compact_beside(request, output.as_deref()),
    };
    done.map_err(|e| e.context(format!("cannot compact {}", request.source.path.display())))
}

/// Writes the image anew, at `output` or in its own place.
fn compact_beside(request: &CompactRequest<'_>, output: Option<&Path>) -> Result<Compacted> {
    if output.is_some() {
        let storage = storage(&request.source.path, request.source.format.as_deref(), &request.access)?;
        let kind = Looked::open(&request.source, &request.access)?.kind;
        return write_anew(request, &storage, kind, output);
    }
    // Nobody writes to the image until the new one has its name.
    let image = Edited::open(&request.source, &request.access)?;
    if !image.is_regular() {
        return Err(only_in_place("what is no regular file cannot be replaced"));
    }
    write_anew(request, &image.storage(), image.kind, None)
}

/// Writes a new image of what is in `storage`.
fn write_anew(
    request: &CompactRequest<'_>,
    storage: &Arc<dyn Storage>,
    kind: Kind,
    output: Option<&Path>,
) -> Result<Compacted> {
    let (access, path) = (&request.access, request.source.path.as_path());
    let specs = options_of(kind.name)?;
    if let Some(snapshots) = kind.abilities.snapshots {
        let context = OpenContext { path: access.place(path), ..access.opener().context };
        let list = snapshots.list(Arc::clone(storage), &context).map_err(|e| e.in_format(kind.name))?;
        if !list.is_empty() {
            return Err(only_in_place("a new image would not have the internal snapshots of this one"));
        }
    }
    let opener = Opener { wrappers: &[], ..access.opener() };
    let mut layers = opener.open_layers(Arc::clone(storage), access.place(path), Some(kind.name))?;
    let below = layers.split_off(1);
    let top = layers.pop().ok_or_else(|| Error::invalid("a chain needs a layer"))?;
    let description = top.image.describe();
    if description.encrypted {
        return Err(only_in_place("a new image would have another key, and not the slots of this one"));
    }
    let files = image_files(path, top.image.as_ref(), access)?;
    if output.is_none() && files.len() > 1 {
        // One name after the other would change, and a kill in between leave files of two images.
        return Err(only_in_place("several files cannot be replaced in one step"));
    }
    let mut options = kept::options_of(&description, specs)?;
    options.extend(request.options.clone());
    let is_compressed = || Ok::<_, Error>(description.compressed || ByteCounts::of(top.image.as_ref())?.compressed > 0);
    let compress = request.compress.map_or_else(is_compressed, Ok)?;
    let backing = backing_of(path, &description, &below);
    let convert = ConvertRequest {
        options,
        compress,
        durable: true,
        // What is replaced is the image itself, which is locked already.
        access: Access { force_share: access.force_share || output.is_none(), ..access.clone() },
        engine: engine(request),
        ..ConvertRequest::new(path, output.unwrap_or(path), kind.name)
    };
    let bitmaps: Vec<_> = top.bitmaps.iter().map(AsRef::as_ref).collect();
    if let Some(bitmap) = bitmaps.iter().find(|bitmap| bitmap.info().inconsistent) {
        let what = format!("the bitmap {} was in use when the image was last closed", bitmap.info().name);
        return Err(Error::malformed(format!("{what}, and cannot be relied on: it has to be removed first")));
    }
    let disk = Chain::new(std::iter::once(top.image).chain(below.into_iter().map(|layer| layer.image)).collect())?;
    convert_image(&convert, &disk, backing.as_ref(), &bitmaps, None)?;
    if request.cancel.is_cancelled() {
        return Err(Error::new(ErrorKind::Cancelled, "the work was cancelled"));
    }
    let written = allocated(output.unwrap_or(path), kind.name, access)?;
    Ok(Compacted { before: sum(&files), after: written })
}

/// Why an image is not written anew, where it can be made smaller all the same.
fn only_in_place(why: &str) -> Error {
    Error::unsupported(format!("{why}, but {WHERE_IT_IS}"))
}

/// The engine, as it is asked for.
fn engine<'a>(request: &CompactRequest<'a>) -> Convert<'a> {
    Convert {
        threads: request.threads,
        progress: request.progress,
        cancel: request.cancel.clone(),
        ..Convert::default()
    }
}

/// What the image builds on, under the name that it has there now.
fn backing_of(path: &Path, description: &Description, below: &[Layer]) -> Option<Backing> {
    let (name, layer) = (description.parent.clone()?, below.first()?);
    let place = layer.path.clone().or_else(|| folder_of(path).join(&name.name).canonicalize().ok());
    let identities = layer.image.describe().identities;
    Some(Backing { name: as_stored(&name), path: place, identities, size: layer.image.size() })
}

/// Bytes that the files of the image at `path` take.
fn allocated(path: &Path, format: &str, access: &Access<'_>) -> Result<Option<u64>> {
    let (opened, _) = open_layer(path, Some(format), access)?;
    Ok(sum(&image_files(path, opened.image.as_ref(), access)?))
}

/// Bytes that `files` take, where all of them can be asked.
fn sum(files: &[ImageFile]) -> Option<u64> {
    files.iter().try_fold(0, |sum: u64, file| Some(sum.saturating_add(file.actual_size?)))
}

/// Gives back the space of units that are zero, and of those that nothing uses.
fn compact_in_place(request: &CompactRequest<'_>) -> Result<Compacted> {
    if request.compress.is_some() || request.options.names().next().is_some() {
        return Err(Error::invalid("an image that is changed where it is keeps its options and its compression"));
    }
    let path = request.source.path.as_path();
    let image = Edited::open(&request.source, &request.access)?;
    let before = sum(&image_files(path, image.layer()?.image.as_ref(), &request.access)?);
    image.edit(|editor| erase_zeros(request, editor))?;
    free_unused(&image)?;
    image.medium().sync()?;
    let after = sum(&image_files(path, image.layer()?.image.as_ref(), &request.access)?);
    Ok(Compacted { before, after })
}

/// Erases all units that are stored, and are zero.
fn erase_zeros(request: &CompactRequest<'_>, editor: &dyn ImageEditor) -> Result<()> {
    let image = editor.image()?;
    let (size, description) = (image.size(), image.describe());
    let unit = unit_of(&description);
    let how =
        if description.parent.is_some() || description.cluster_size.is_none() { Erase::Zero } else { Erase::Absent };
    let mut plan = Plan::new(image.as_ref());
    workers::run(
        request.threads,
        &request.cancel,
        || plan.next_part(),
        |part| {
            let range = match part {
                Part::Zero(range) => {
                    erase(editor, range.clone(), how)?;
                    range
                }
                Part::Stored(range) => {
                    for run in zero_units(image.as_ref(), &range, unit)? {
                        erase(editor, run, how)?;
                    }
                    range
                }
            };
            if let Some(progress) = request.progress {
                progress(Progress { done: range.end, size, stored: 0 });
            }
            Ok(())
        },
    )
}

/// The runs of units in `part` that are zero.
fn zero_units(image: &dyn Image, part: &Range<u64>, unit: u64) -> Result<Vec<Range<u64>>> {
    let mut bytes = buffer(&(0..unit.min(part.end - part.start)))?;
    let mut runs: Vec<Range<u64>> = Vec::new();
    for start in (part.start..part.end).step_by(usize::try_from(unit).unwrap_or(usize::MAX)) {
        let end = start.saturating_add(unit).min(part.end);
        let bytes = &mut bytes[..usize::try_from(end - start).unwrap_or(usize::MAX)];
        match image.read_at(bytes, start) {
            // A unit that is a parent's in part is as small as it can be.
            Err(error) if error.kind() == ErrorKind::Missing => {}
            Err(error) => return Err(error),
            Ok(()) if !is_zero(bytes) => {}
            Ok(()) => match runs.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => runs.push(start..end),
            },
        }
    }
    Ok(runs)
}

/// Erases a unit; where the format has to keep it, it is zero all the same.
fn erase(editor: &dyn ImageEditor, unit: Range<u64>, how: Erase) -> Result<()> {
    match editor.erase(unit.clone(), how) {
        Err(error) if how == Erase::Absent && matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Invalid) => {
            editor.erase(unit, Erase::Zero)
        }
        other => other,
    }
}

/// Gives back what nothing uses: leaks, and what lies behind the last byte in use.
fn free_unused(image: &Edited<'_>) -> Result<()> {
    let Some(check) = image.kind.abilities.check else {
        return Ok(());
    };
    let in_format = |e: Error| e.in_format(image.kind.name);
    let mut findings = Findings::new();
    let mut stats = check.check(image.storage(), &image.context(), &mut findings).map_err(in_format)?;
    if findings.open(Severity::Leak) > 0 && check.repairs().is_some() {
        check.repair(image.medium(), Repair::Leaks, &image.context(), &mut Findings::new()).map_err(in_format)?;
        findings = Findings::new();
        stats = check.check(image.storage(), &image.context(), &mut findings).map_err(in_format)?;
    }
    if findings.total() > 0 {
        return Ok(());
    }
    if let Some(vacant) = image.kind.abilities.vacant {
        let medium = image.medium();
        vacant.vacant(medium.as_ref(), &image.context(), &mut |range| medium.clear(range))?;
    }
    let len = image.storage().len();
    let Some(end) = stats.image_end.filter(|end| *end < len) else {
        return Ok(());
    };
    // What is cut off has to be of no use by the format's own judgement.
    let cut: Arc<dyn Storage> = Arc::new(Window::new(image.storage(), 0..end)?);
    let mut of_cut = Findings::new();
    let sound = check.check(cut, &image.context(), &mut of_cut).is_ok() && of_cut.total() == 0;
    if sound && image.is_regular() { image.medium().set_len(end) } else { Ok(()) }
}

/// What ends the message where an image cannot be written anew and take its own place, but be compacted in place.
pub const WHERE_IT_IS: &str = "it can be compacted where it is";
