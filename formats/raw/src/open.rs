//! Opening: the window that is asked for, on one file or on several.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Error, OpenContext, OptionSpec, Options, Result, Role, Storage, Window};

use crate::read::{Facts, Joined, RawImage};
use crate::split::{self, Split};

/// Options for opening a raw image.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec { name: "offset", values: "SIZE", default: "0", help: "the byte at which the disk starts" },
    OptionSpec { name: "size", values: "SIZE", default: "up to the end", help: "how many bytes the disk has" },
    OptionSpec {
        name: "split",
        values: "auto|on|off",
        default: "auto",
        help: "whether a file NAME.001 goes on in NAME.002 and so on: where they are there, always, or never",
    },
];

/// The part of the bytes that is the disk, as the options say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The byte at which the disk starts.
    pub(crate) offset: u64,
    /// Its bytes, if not all up to the end.
    pub(crate) size: Option<u64>,
}

impl Part {
    /// The part that `options` ask for.
    pub(crate) fn of(options: &Options) -> Result<Self> {
        let size = options.get("size").map(|_| options.size("size", 0)).transpose()?;
        Ok(Self { offset: options.size("offset", 0)?, size })
    }

    /// The part as a range of `len` bytes.
    pub(crate) fn within(self, len: u64) -> Result<Range<u64>> {
        if self.offset > len {
            return Err(Error::out_of_bounds(format!("is {}, beyond the {len} bytes that are there", self.offset))
                .field("offset"));
        }
        let end = match self.size {
            None => len,
            Some(size) => self.offset.checked_add(size).filter(|&end| end <= len).ok_or_else(|| {
                let there = len - self.offset;
                Error::out_of_bounds(format!("is {size}, but from byte {} on there are {there}", self.offset))
                    .field("size")
            })?,
        };
        Ok(self.offset..end)
    }

    /// Whether it is all there is.
    pub(crate) fn is_whole(self) -> bool {
        self.offset == 0 && self.size.is_none()
    }
}

/// Opens the raw image in `storage`.
pub(crate) fn open(storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<RawImage> {
    context.without_snapshots()?;
    let part = Part::of(context.options)?;
    let split = Split::of(context.options)?;
    let admit = |name: &std::path::Path| Ok(context.admit(name, Role::Extent)?.storage);
    let files = split::join(storage, split, context, &admit)?;
    image_of(files.parts, files.unseen, part)
}

/// The image of `part` of `files`, behind which there may be more that were not looked for.
pub(crate) fn image_of(files: Vec<Arc<dyn Storage>>, unseen: bool, part: Part) -> Result<RawImage> {
    let mut facts = Facts { files: files.len(), unseen, offset: 0 };
    let mut disk = Joined::new(files)?;
    if !part.is_whole() {
        let range = part.within(disk.len())?;
        disk = Joined::new(disk.windows(&range)?)?;
        facts.offset = range.start;
    }
    Ok(RawImage::new(disk, facts))
}

/// The window on `range` of `storage` as a storage.
pub(crate) fn window(storage: &Arc<dyn Storage>, range: Range<u64>) -> Result<Arc<dyn Storage>> {
    if range == (0..storage.len()) {
        return Ok(Arc::clone(storage));
    }
    Ok(Arc::new(Window::new(Arc::clone(storage), range)?))
}
