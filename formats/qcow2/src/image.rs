//! An open image.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use imgfmt_core::{
    Description, Encoded, ExtentSink, Image, Kept, OpenContext, Opened, ParentName, Result, Storage, read::through_map,
};

use crate::bitmap_data::StoredBitmap;
use crate::bitmaps::Bitmap;
use crate::crypto::Encryption;
use crate::data_file::{self, DataPlace};
use crate::entry::EntryRules;
use crate::header::Header;
use crate::info;
use crate::layout::CLUSTER_BITS_AT;
use crate::snapshots::{Snapshot, State};
use crate::tables::{Table, Tables};
use imgfmt_core::fields::Place;

/// A qcow2 image, one layer: its active state, or a snapshot.
pub(crate) struct Qcow2Image {
    /// The file, and its data file where it has one that is open.
    pub(crate) sources: Vec<Arc<dyn Storage>>,
    /// Where guest clusters are stored.
    pub(crate) data: DataPlace,
    /// What the header says.
    pub(crate) header: Header,
    /// The layer below.
    pub(crate) parent: Option<ParentName>,
    /// The internal snapshots, in file order.
    pub(crate) snapshots: Vec<Snapshot>,
    /// The bitmaps, in file order.
    pub(crate) bitmaps: Vec<Bitmap>,
    /// Guest bytes of the disk in the state that is read.
    pub(crate) size: u64,
    /// The L1 table of that state.
    pub(crate) l1: Table,
    /// How guest bytes are encrypted, where they are.
    pub(crate) encryption: Option<Encryption>,
    /// The tables read last.
    pub(crate) tables: Tables,
    /// How L2 entries are read.
    pub(crate) rules: EntryRules,
    /// Whether the file is known to be whole although it ends inside an L2 table; found out when that matters.
    pub(crate) whole: OnceLock<bool>,
}

impl Qcow2Image {
    /// Opens the image in `storage`.
    ///
    /// # Errors
    ///
    /// As [`Header::read`], and what the tables that the header names break.
    pub(crate) fn open(storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        let limits = context.limits;
        let header = Header::read(storage.as_ref(), limits)?;
        Place::in_header("cluster_bits", CLUSTER_BITS_AT).limited(header.cluster.len(), limits.unit_bytes)?;
        let snapshots = Snapshot::read_all(storage.as_ref(), &header, limits)?;
        let state = State::choose(&header, &snapshots, context.snapshot, storage.len())?;
        let bitmaps = Bitmap::read_all(storage.as_ref(), &header, limits)?;
        let active = context.snapshot.is_none();
        let stored = if active { StoredBitmap::all(&storage, &header, &bitmaps) } else { Vec::new() };
        let encryption = Encryption::open(header.crypt, storage.as_ref(), context)?;
        let parent = parent(&header)?;
        let (sources, data) = data_file::sources(storage, &header, context)?;
        let image = Self {
            sources,
            data,
            rules: EntryRules::new(&header),
            header,
            parent: parent.clone(),
            snapshots,
            bitmaps,
            size: state.size,
            l1: state.l1,
            tables: Tables::default(),
            encryption,
            whole: OnceLock::new(),
        };
        Ok(Opened { image: Box::new(image), parent: parent.map(Into::into), bitmaps: stored })
    }
}

impl Image for Qcow2Image {
    fn size(&self) -> u64 {
        self.size
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        match self.encryption {
            Some(_) => Encryption::map(self, range, sink),
            None => self.map_range(range.start, sink),
        }
    }

    /// Nothing frames a compressed cluster; what follows its stream in the last sector is ignored.
    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        Ok(0..stored.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        match &self.encryption {
            Some(encryption) => encryption.read_at(self, buf, offset),
            None => through_map(self, buf, offset),
        }
    }

    fn describe(&self) -> Description {
        info::describe(self)
    }

    fn kept(&self, range: Range<u64>) -> Result<Kept> {
        self.kept_places(range)
    }
}

/// The layer below, as the header and its extensions name it.
fn parent(header: &Header) -> Result<Option<ParentName>> {
    let Some(name) = header.backing_name.clone() else {
        return Ok(None);
    };
    Ok(Some(ParentName { name, format: header.extensions.backing_format()? }))
}
