//! Editing in place: guest byte n is host byte n, so whatever is written is where it belongs.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::storage::is_device;
use imgfmt_core::{
    Edit, Erase, Error, Halt, Image, ImageEditor, Medium, OpenContext, Preallocation, Result, Role, Storage,
    write_zeros,
};

use crate::open::{self, Part};
use crate::split::{self, Split};
use crate::{NAME, Raw};

impl Edit for Raw {
    fn edit<'a>(&self, medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Box<dyn ImageEditor + 'a>> {
        Ok(Box::new(RawEditor::new(medium, context).map_err(|e| e.in_format(NAME))?))
    }
}

/// What is done with a file: with its bytes in a range, and with theirs within a buffer.
type EachFile<'a> = dyn FnMut(&dyn Medium, Range<u64>, Range<usize>) -> Result<()> + 'a;

/// A raw image that is edited.
#[derive(Debug)]
struct RawEditor {
    /// The files, one behind the other; at least one.
    files: Vec<Arc<dyn Medium>>,
    /// What of them is the disk.
    part: Part,
    /// The window that `part` was when the image was opened. Of a whole file, the size is asked for, as it may change.
    window: Range<u64>,
}

impl RawEditor {
    /// Opens the files of the image whose first one is `medium`.
    fn new(medium: Arc<dyn Medium>, context: &OpenContext<'_>) -> Result<Self> {
        context.without_snapshots()?;
        let (part, split) = (Part::of(context.options)?, Split::of(context.options)?);
        let halt = Halt::default();
        let admit = |name: &Path| Ok(halt.guard(context.admit_to_write(name, Role::Extent)?.medium));
        // Whoever edits needs all of the disk, so all of its files are opened, even to be described.
        let context = OpenContext { describe_only: false, ..*context };
        let files = split::join(halt.guard(medium), split, &context, &admit)?.parts;
        let len = files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.len()));
        let len = len.ok_or_else(|| Error::limit("the files together are longer than any disk"))?;
        Ok(Self { files, part, window: part.within(len)? })
    }

    /// The one file, where the disk is all of it.
    fn whole_file(&self) -> Option<&Arc<dyn Medium>> {
        match self.files.as_slice() {
            [only] if self.part.is_whole() => Some(only),
            _ => None,
        }
    }

    /// The range of the files that is the disk.
    fn disk(&self) -> Range<u64> {
        self.whole_file().map_or(self.window.clone(), |file| 0..file.len())
    }

    /// Does `act` with each file that has bytes of guest `range`: with its bytes, and with theirs within the range.
    fn each(&self, range: &Range<u64>, act: &mut EachFile<'_>) -> Result<()> {
        let disk = self.disk();
        if range.start > range.end || range.end > disk.end - disk.start {
            let what = format!("bytes {range:?} are meant, but the disk has {}", disk.end - disk.start);
            return Err(Error::out_of_bounds(what).at(range.start));
        }
        let (mut next, end) = (disk.start + range.start, disk.start + range.end);
        let mut start = 0_u64;
        for file in &self.files {
            let file_end = start + file.len();
            if next < file_end && next < end {
                let here = next..file_end.min(end);
                let within = |at: u64| usize::try_from(at - disk.start - range.start).unwrap_or(usize::MAX);
                act(file.as_ref(), here.start - start..here.end - start, within(here.start)..within(here.end))?;
                next = here.end;
            }
            start = file_end;
        }
        Ok(())
    }

    /// Makes the file `file` longer, from `old` to `size` bytes.
    fn grow(file: &dyn Medium, old: u64, size: u64, preallocation: Preallocation) -> Result<()> {
        if preallocation == Preallocation::Falloc {
            file.reserve(old..size).or_else(|error| file.set_len(old).and(Err(error)))?;
        }
        file.set_len(size)?;
        // What is written from now on must not be all that makes the file longer.
        file.sync()?;
        if preallocation == Preallocation::Full {
            write_zeros(file, old..size).or_else(|error| file.set_len(old).and(Err(error)))?;
            file.sync()?;
        }
        Ok(())
    }
}

impl ImageEditor for RawEditor {
    fn image(&self) -> Result<Box<dyn Image>> {
        let files = self.files.iter().map(|file| Arc::clone(file) as Arc<dyn Storage>).collect();
        Ok(Box::new(open::image_of(files, false, self.part).map_err(|e| e.in_format(NAME))?))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let range = offset..offset.saturating_add(bytes.len() as u64);
        let written = self
            .each(&range, &mut |file, here, within| file.write_at(bytes.get(within).unwrap_or_default(), here.start));
        written.map_err(|e| e.in_format(NAME))
    }

    fn erase(&self, range: Range<u64>, how: Erase) -> Result<()> {
        let erased = self.each(&range, &mut |file, here, _| match how {
            Erase::Zero | Erase::Absent => file.clear(here),
            Erase::ZeroKeepSpace => write_zeros(file, here),
        });
        erased.map_err(|e| e.in_format(NAME))
    }

    fn resize(&self, size: u64, preallocation: Preallocation) -> Result<()> {
        let file = self.whole_file().ok_or_else(|| {
            let what = if self.part.is_whole() { "a disk of several files" } else { "a window on a file" };
            Error::unsupported(format!("{what} keeps its size")).in_format(NAME)
        })?;
        if is_device(file.as_ref()).map_err(|e| e.in_format(NAME))? {
            return Err(Error::unsupported("a device keeps its size").in_format(NAME));
        }
        if preallocation == Preallocation::Metadata {
            return Err(Error::invalid("a raw image has no metadata that could be preallocated").in_format(NAME));
        }
        let old = file.len();
        if size < old && preallocation != Preallocation::Off {
            return Err(Error::invalid("preallocation is for disks that grow").in_format(NAME));
        }
        if size > old {
            return Self::grow(file.as_ref(), old, size, preallocation);
        }
        file.set_len(size)?;
        if file.len() != size {
            return Err(Error::unsupported("what holds the disk keeps its size").in_format(NAME));
        }
        file.sync()
    }

    fn flush(&self) -> Result<()> {
        self.files.iter().try_for_each(|file| file.sync())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.flush()
    }
}
