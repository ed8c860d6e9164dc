//! An open image.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{
    Description, Encoded, Error, ExtentSink, Image, Limits, Opened, Parent, Result, Storage, read::through_map,
};

use crate::bat::Bat;
use crate::geometry::Geometry;
use crate::header::{Chosen, Header, read_creator};
use crate::info;
use crate::log::{self, Replay};
use crate::metadata::Metadata;
use crate::regions::Regions;

/// A VHDX image, one layer.
pub(crate) struct VhdxImage {
    /// The file as it is once its log is replayed, as the one source.
    pub(crate) sources: [Arc<dyn Storage>; 1],
    /// The program that made the file.
    pub(crate) creator: String,
    /// The header that counts.
    pub(crate) header: Chosen,
    /// What was replayed, if there was a log.
    pub(crate) replay: Option<Replay>,
    /// Where things are that are no blocks.
    pub(crate) regions: Regions,
    /// What the disk is like.
    pub(crate) metadata: Metadata,
    /// The layer below.
    pub(crate) parent: Option<Parent>,
    /// Which entries the block allocation table has.
    pub(crate) geometry: Geometry,
    /// The block allocation table.
    pub(crate) bat: Bat,
}

impl VhdxImage {
    /// Opens the image in `storage`.
    ///
    /// # Errors
    ///
    /// What each of the structures breaks, in the order in which the file has them.
    pub(crate) fn open(storage: Arc<dyn Storage>, limits: &Limits) -> Result<Opened> {
        let image = Self::read(storage, limits)?;
        let parent = image.parent.clone();
        Ok(Opened { image: Box::new(image), parent, bitmaps: Vec::new() })
    }

    /// Reads the structures of the image in `storage`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub(crate) fn read(storage: Arc<dyn Storage>, limits: &Limits) -> Result<Self> {
        let creator = read_creator(storage.as_ref())?;
        let header = Header::read(storage.as_ref())?;
        // What the log has to say is newer than all that follows.
        let (storage, replay) = log::replay(storage, &header.header, limits)?;
        let regions = Regions::read(storage.as_ref(), header.header.log())?;
        let metadata = Metadata::read(storage.as_ref(), &regions.metadata, limits)?;
        let geometry = Geometry::of(&metadata);
        let bat = Bat::new(&regions.bat, &geometry, storage.len())?;
        let parent = metadata.parent.as_ref().map(|locator| locator.parent());
        let sources = [storage];
        Ok(Self { sources, creator, header, replay, regions, metadata, parent, geometry, bat })
    }
}

impl Image for VhdxImage {
    fn size(&self) -> u64 {
        self.geometry.size
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        self.map_range(range.start, sink)
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("nothing is compressed in a VHDX image"))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        through_map(self, buf, offset)
    }

    fn describe(&self) -> Description {
        info::describe(self)
    }
}
