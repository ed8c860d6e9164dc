//! An open image.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use imgfmt_core::{
    Description, Encoded, ExtentSink, Image, Limits, Opened, ParentName, Result, Storage, read::through_map,
};

use crate::bitmaps::Bitmap;
use crate::entry::EntryRules;
use crate::fields::Place;
use crate::header::Header;
use crate::info;
use crate::layout::{CLUSTER_BITS_AT, L1_TABLE_OFFSET_AT};
use crate::snapshots::Snapshot;
use crate::tables::{Table, Tables};

/// A qcow2 image, one layer: its active state.
pub(crate) struct Qcow2Image {
    /// The file, as the one source.
    pub(crate) sources: [Arc<dyn Storage>; 1],
    /// What the header says.
    pub(crate) header: Header,
    /// The layer below.
    pub(crate) parent: Option<ParentName>,
    /// The internal snapshots, in file order.
    pub(crate) snapshots: Vec<Snapshot>,
    /// The bitmaps, in file order.
    pub(crate) bitmaps: Vec<Bitmap>,
    /// The L1 table of the active state.
    pub(crate) l1: Table,
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
    pub(crate) fn open(storage: Arc<dyn Storage>, limits: &Limits) -> Result<Opened> {
        let header = Header::read(storage.as_ref(), limits)?;
        let cluster = header.cluster;
        Place::in_header("cluster_bits", CLUSTER_BITS_AT).limited(cluster.len(), limits.unit_bytes)?;
        let l1 = Table::new(header.l1_table_offset, u64::from(header.l1_size), storage.len())
            .map_err(|e| Place::in_header("l1_table_offset", L1_TABLE_OFFSET_AT).tell(e))?;
        let snapshots = Snapshot::read_all(storage.as_ref(), &header, limits)?;
        let bitmaps = Bitmap::read_all(storage.as_ref(), &header, limits)?;
        let parent = parent(&header)?;
        let rules = EntryRules::new(header.version, cluster);
        let tables = Tables::default();
        let image = Self {
            sources: [storage],
            header,
            parent: parent.clone(),
            snapshots,
            bitmaps,
            l1,
            tables,
            rules,
            whole: OnceLock::new(),
        };
        Ok(Opened { image: Box::new(image), parent: parent.map(Into::into), bitmaps: Vec::new() })
    }
}

impl Image for Qcow2Image {
    fn size(&self) -> u64 {
        self.header.size
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        self.map_range(range.start, sink)
    }

    /// Nothing frames a compressed cluster; what follows its stream in the last sector is ignored.
    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        Ok(0..stored.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        through_map(self, buf, offset)
    }

    fn describe(&self) -> Description {
        info::describe(self)
    }
}

/// The layer below, as the header and its extensions name it.
fn parent(header: &Header) -> Result<Option<ParentName>> {
    let Some(name) = header.backing_name.clone() else {
        return Ok(None);
    };
    Ok(Some(ParentName { name, format: header.extensions.backing_format()? }))
}
