//! What an image is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::{ByteCounts, Contents, Description, Error, ErrorKind, Image, OpenContext, Opener, Result, Unwrapped};

use super::files::{ImageFile, archive_file, image_files};
use super::open::{Access, cannot_open, open_layers, storage};

/// What there is to say about one layer.
#[derive(Debug)]
pub struct ImageInfo {
    /// Guest bytes of the virtual disk.
    pub virtual_size: u64,
    /// The files that the image consists of, first the one that was opened.
    pub files: Vec<ImageFile>,
    /// What the format says.
    pub description: Description,
    /// Where the backing file is that the description names: a relative name is relative to the image's folder.
    pub backing_path: Option<PathBuf>,
    /// Guest bytes by kind, if they were to be counted; an error where the tables are damaged.
    pub counts: Option<Result<ByteCounts>>,
    /// What was taken off before the image showed, the outermost first, and what each of them holds.
    pub wrappers: Vec<(&'static str, Contents)>,
}

impl ImageInfo {
    /// Where the image is, as it was called.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |file| &file.path)
    }

    /// Bytes that the image's files take on the host, holes not counted; nothing where one of them is no file of this host.
    #[must_use]
    pub fn actual_size(&self) -> Option<u64> {
        self.files.iter().try_fold(0, |sum: u64, file| Some(sum.saturating_add(file.actual_size?)))
    }
}

/// What is to be found out about an image. [`Default`] is what its header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InfoRequest<'a> {
    /// The format, where it is not to be probed.
    pub format: Option<&'a str>,
    /// Whether the tables are walked, to count guest bytes by kind.
    pub count: bool,
    /// Whether the other files that hold the image's own bytes are opened, to tell of them, too. Those that may not be
    /// opened are left out.
    pub files: bool,
}

/// Describes the image at `path` alone, without touching its backing file. An image whose bytes cannot be read, for want
/// of a secret or of another file, is described all the same; so is a file that holds several images.
///
/// # Errors
///
/// As [`open_layer`](super::open::open_layer). What is only met while counting is in [`ImageInfo::counts`].
pub fn info(path: &Path, request: &InfoRequest<'_>, access: &Access<'_>) -> Result<ImageInfo> {
    let cannot = |e: Error| e.context(cannot_open(path));
    let opener = access.opener();
    let storage = storage(path, request.format, access)?;
    let unwrapped = opener.unwrap(Arc::clone(&storage), access.place(path), request.format).map_err(cannot)?;
    if unwrapped.undecided.is_some() {
        return archive(path, unwrapped, storage.len(), access);
    }
    let bare = Opener { wrappers: &[], ..opener };
    let place = unwrapped.path.as_deref();
    let open = |describe_only: bool| {
        let context = OpenContext { describe_only, ..bare.context };
        let opener = Opener { context, ..bare };
        opener.open_layer(Arc::clone(&unwrapped.storage), place, unwrapped.format.as_deref())
    };
    let (opened, counts) = match request.count.then(|| open(false)) {
        Some(Ok((opened, _))) => {
            let counts = ByteCounts::of(opened.image.as_ref());
            (opened, Some(counts))
        }
        // What keeps the bytes from being read need not keep the rest from being told.
        Some(Err(error)) if UNREADABLE.contains(&error.kind()) => match open(true) {
            // Tables that can be read are counted; a file that is cut is told of instead.
            Ok((opened, _)) if error.kind() != ErrorKind::OutOfBounds => {
                let counts = ByteCounts::of(opened.image.as_ref());
                (opened, Some(counts))
            }
            Ok((opened, _)) => (opened, Some(Err(error))),
            Err(_) => return Err(cannot(error)),
        },
        Some(Err(error)) => return Err(cannot(error)),
        None => match request.files.then(|| open(false)) {
            Some(Ok((opened, _))) => (opened, None),
            _ => (open(true).map_err(cannot)?.0, None),
        },
    };
    let mut info = describe(path, opened.image.as_ref(), access)?;
    info.counts = counts;
    info.wrappers = unwrapped.wrappers;
    Ok(info)
}

/// Describes the image at `path` and every layer that it builds on, the top one first.
///
/// # Errors
///
/// As [`open_layers`].
pub fn chain_info(path: &Path, request: &InfoRequest<'_>, access: &Access<'_>) -> Result<Vec<ImageInfo>> {
    let layers = open_layers(path, request.format, access)?;
    let mut infos = Vec::with_capacity(layers.len());
    for (index, layer) in layers.iter().enumerate() {
        let access = if index == 0 { access } else { &access.below() };
        let mut info = describe(layer.path.as_deref().unwrap_or(path), layer.image.as_ref(), access)?;
        info.counts = request.count.then(|| ByteCounts::of(layer.image.as_ref()));
        infos.push(info);
    }
    Ok(infos)
}

/// Describes one layer.
fn describe(path: &Path, image: &dyn Image, access: &Access<'_>) -> Result<ImageInfo> {
    let description = image.describe();
    Ok(ImageInfo {
        virtual_size: image.size(),
        files: image_files(path, image, access)?,
        backing_path: description.parent.as_ref().map(|parent| beside(path, &parent.name)),
        description,
        counts: None,
        wrappers: Vec::new(),
    })
}

/// Describes a file that holds several images, of which none has been named.
fn archive(path: &Path, unwrapped: Unwrapped, len: u64, access: &Access<'_>) -> Result<ImageInfo> {
    let (format, members) = unwrapped.wrappers.last().map_or(("", &[][..]), |(name, held)| (*name, &held.members[..]));
    Ok(ImageInfo {
        virtual_size: members.iter().filter_map(|member| member.capacity).fold(0, u64::saturating_add),
        files: archive_file(path, len, access)?,
        description: Description { format, ..Description::default() },
        backing_path: None,
        counts: None,
        wrappers: unwrapped.wrappers,
    })
}

/// The file that is called `name` in the image at `path`; as with the gate, the folder is the real one.
fn beside(path: &Path, name: &Path) -> PathBuf {
    let real = if path.is_symlink() { path.canonicalize().ok() } else { None };
    real.as_deref().unwrap_or(path).parent().unwrap_or(Path::new("")).join(name)
}

/// What an image may be described in spite of: its bytes are somewhere else, encrypted, or cut off.
const UNREADABLE: [ErrorKind; 5] =
    [ErrorKind::Refused, ErrorKind::Missing, ErrorKind::Invalid, ErrorKind::Unsupported, ErrorKind::OutOfBounds];
