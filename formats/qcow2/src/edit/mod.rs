//! Changing an image where it is.

mod allocate;
mod amend;
mod bitmaps;
mod bits;
mod changed;
mod content;
mod counts;
mod directory;
mod disk;
mod encoded;
mod erase;
mod flush;
mod head;
mod reachable;
mod record;
mod recount;
mod reparent;
mod reserved;
mod resize;
mod snapshots;
mod table;
mod version;
mod write;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::codec::Compression;
use imgfmt_core::{
    Edit, Erase, Error, Gate, Image, ImageEditor, Medium, OpenContext, Preallocation, Reference, Result, Storage,
};

use crate::Qcow2;
use crate::image::Qcow2Image;
use crate::layout::{AUTOCLEAR_BITMAPS, AUTOCLEAR_DATA_FILE_RAW, AUTOCLEAR_FEATURES_AT};
use disk::Disk;

impl Edit for Qcow2 {
    fn edit<'a>(&self, medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Box<dyn ImageEditor + 'a>> {
        if let Some(name) = context.snapshot {
            return Err(Error::invalid(format!("the snapshot {name} cannot be changed; apply it first")));
        }
        Ok(Box::new(Qcow2Editor(Mutex::new(Disk::open(medium, context)?))))
    }
}

/// An image that is being changed.
struct Qcow2Editor<'a>(Mutex<Disk<'a>>);

impl<'a> Qcow2Editor<'a> {
    /// The image, about to be changed.
    fn changed(&self) -> Result<MutexGuard<'_, Disk<'a>>> {
        let mut disk = self.lock();
        disk.begin()?;
        Ok(disk)
    }

    /// The image. What a panic of another thread left in memory has not been written.
    fn lock(&self) -> MutexGuard<'_, Disk<'a>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ImageEditor for Qcow2Editor<'_> {
    fn image(&self) -> Result<Box<dyn Image>> {
        let mut disk = self.lock();
        disk.flush()?;
        disk.reader()
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.changed()?.write(bytes, offset)
    }

    fn compression(&self) -> Option<Compression> {
        self.lock().compression()
    }

    fn write_encoded(&self, stored: &[u8], offset: u64) -> Result<()> {
        self.changed()?.write_encoded(stored, offset)
    }

    fn erase(&self, range: Range<u64>, how: Erase) -> Result<()> {
        self.changed()?.erase(range, how)
    }

    fn set_parent_size(&self, size: u64) {
        self.lock().parent_size = size;
    }

    fn resize(&self, size: u64, preallocation: Preallocation) -> Result<()> {
        let mut disk = self.lock();
        let version = disk.header.version;
        disk.check_resize(size, version)?;
        disk.check_end(size)?;
        disk.begin()?;
        disk.resize(size, preallocation)
    }

    fn flush(&self) -> Result<()> {
        self.lock().flush()
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).finish()
    }
}

impl Disk<'_> {
    /// Says in the image that it is being changed, before it is for the first time: features that nobody here keeps up are
    /// taken back, and bitmaps that record cannot be relied on until they are stored.
    fn begin(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.record.begun, true) {
            return Ok(());
        }
        self.drop_unknown_features()?;
        if self.record.records() {
            self.mark_bitmaps_in_use()?;
        }
        Ok(())
    }

    /// Takes back features that nobody here keeps up. Specification, "autoclear_features".
    fn drop_unknown_features(&mut self) -> Result<()> {
        if self.head.has_features() {
            let features = self.head.get64(AUTOCLEAR_FEATURES_AT);
            let known = features & (AUTOCLEAR_BITMAPS | AUTOCLEAR_DATA_FILE_RAW);
            if known != features {
                self.head.put64(AUTOCLEAR_FEATURES_AT, known);
                self.head.write(self.medium.as_ref())?;
                self.medium.sync()?;
            }
        }
        Ok(())
    }

    /// Flushes, and stores what bitmaps have recorded.
    fn finish(&mut self) -> Result<()> {
        self.flush()?;
        if self.record.begun && self.record.records() {
            self.store_recorded()?;
        }
        self.flush()
    }

    /// A reader of the image as it is on the medium.
    fn reader(&self) -> Result<Box<dyn Image>> {
        let gate = Held { data: self.data.clone() };
        let context = OpenContext { gate: &gate, path: self.path.as_deref(), ..self.context };
        Ok(Qcow2Image::open(Arc::clone(&self.medium) as Arc<dyn Storage>, &context)?.image)
    }
}

/// Admits the data file that is open already.
#[derive(Debug)]
struct Held {
    /// The data file.
    data: Option<Arc<dyn Medium>>,
}

impl Gate for Held {
    fn open(&self, reference: &Reference<'_>) -> Result<imgfmt_core::Admitted> {
        let data = self.data.clone().ok_or_else(|| Error::refused("the image is alone while it is changed"))?;
        Ok(imgfmt_core::Admitted { storage: data, path: reference.name.to_path_buf() })
    }

    fn beside(&self, _image: &std::path::Path) -> Result<Vec<std::path::PathBuf>> {
        Ok(Vec::new())
    }
}
