//! What an editor knows of its image: tables and refcounts in memory, ahead of the medium.
//!
//! Data goes to the medium at once, into clusters that nothing refers to yet or that are the disk's own already. What
//! refers to it waits for [`flush`](super::flush): refcounts that were raised, then tables, then refcounts that were
//! lowered. Whenever that is cut, refcounts are at most too high.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::codec::Decoder;
use imgfmt_core::{Error, Halt, Medium, OpenContext, Result, Role, StorageExt};

use super::counts::Counts;
use super::head::Head;
use super::record::Record;
use super::reserved::Reserved;
use super::resize::Places;
use crate::bitmaps::Bitmap;
use crate::cluster::ClusterBits;
use crate::crypto::Encryption;
use crate::data_file;
use crate::entry::EntryRules;
use crate::header::Header;
use crate::layout::{INCOMPATIBLE_FEATURES_AT, L1_TABLE_OFFSET_AT, OFFSET_MASK, TABLE_ENTRY_LEN};
use imgfmt_core::fields::Place;

/// An L2 table in memory.
pub(super) struct L2 {
    /// Host byte where it is, or will be.
    pub(super) host: u64,
    /// Its words.
    pub(super) words: Vec<u64>,
    /// Whether they differ from those on the medium.
    pub(super) dirty: bool,
}

/// An image that is being changed.
pub(super) struct Disk<'a> {
    /// Its file.
    pub(super) medium: Arc<dyn Medium>,
    /// Where its clusters are, if not in its file.
    pub(super) data: Option<Arc<dyn Medium>>,
    /// What was said for opening.
    pub(super) context: OpenContext<'a>,
    /// Where it is.
    pub(super) path: Option<PathBuf>,
    /// What its header says.
    pub(super) header: Header,
    /// Its first cluster.
    pub(super) head: Head,
    /// Guest bytes of the disk.
    pub(super) size: u64,
    /// The active L1 table.
    pub(super) l1: Vec<u64>,
    /// Its host byte.
    pub(super) l1_host: u64,
    /// Whether the L1 table differs from that on the medium.
    pub(super) l1_dirty: bool,
    /// L2 tables in memory, by their L1 entry.
    pub(super) l2: BTreeMap<usize, L2>,
    /// The refcounts.
    pub(super) counts: Counts,
    /// Clusters that hold tables.
    pub(super) reserved: Reserved,
    /// Clusters that are given up once the tables are written, each as often as it is given up.
    pub(super) given_up: Vec<u64>,
    /// Clusters that were given to the guest ahead of any data.
    pub(super) places: Places,
    /// The first free byte in a cluster that compressed units share; none where it is full.
    pub(super) tail: Option<u64>,
    /// No cluster before this one is free.
    pub(super) free_from: u64,
    /// Whether a flush has failed: what is on the medium is not known then, and nothing more is written that builds on it.
    pub(super) failed: bool,
    /// How guest bytes are encrypted.
    pub(super) encryption: Option<Encryption>,
    /// How L2 entries are read.
    pub(super) rules: EntryRules,
    /// Whether there is a layer below.
    pub(super) has_parent: bool,
    /// Guest bytes that the layer below may have.
    pub(super) parent_size: u64,
    /// Decoding contexts.
    pub(super) decoder: Decoder,
    /// What is recorded for bitmaps.
    pub(super) record: Record,
}

impl<'a> Disk<'a> {
    /// Opens the image in `medium` to be changed.
    ///
    /// # Errors
    ///
    /// As [`Header::read`]; [`Malformed`](imgfmt_core::ErrorKind::Malformed) for an image that is marked as corrupt, or that
    /// was not closed.
    pub(super) fn open(medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Self> {
        let (limits, halt) = (context.limits, Halt::default());
        let medium = halt.guard(medium);
        let header = Header::read(medium.as_ref(), limits)?;
        check_usable(&header)?;
        let head = Head::read(medium.as_ref(), &header)?;
        let l1_host = header.l1_table_offset;
        let l1 = read_table(medium.as_ref(), l1_host, u64::from(header.l1_size), context)
            .map_err(|e| Place::in_header("l1_table_offset", L1_TABLE_OFFSET_AT).tell(e))?;
        let counts = Counts::read(medium.as_ref(), &header, limits)?;
        let encryption = Encryption::open(header.crypt, medium.as_ref(), context)?;
        let data = data_medium(&header, context)?.map(|data| halt.guard(data));
        let bitmaps = Bitmap::read_all(medium.as_ref(), &header, limits)?;
        let reserved = Reserved::new(&header, &l1, &counts);
        Ok(Self {
            data,
            context: *context,
            path: context.path.map(std::path::Path::to_path_buf),
            rules: EntryRules::new(&header),
            has_parent: header.backing_name.is_some(),
            parent_size: u64::MAX,
            size: header.size,
            head,
            l1,
            l1_host,
            l1_dirty: false,
            l2: BTreeMap::new(),
            reserved,
            counts,
            given_up: Vec::new(),
            places: Places::default(),
            tail: None,
            failed: false,
            free_from: 0,
            encryption,
            decoder: Decoder::default(),
            record: Record::new(&bitmaps),
            header,
            medium,
        })
    }

    /// How long clusters are.
    pub(super) fn cluster(&self) -> ClusterBits {
        self.header.cluster
    }

    /// The L1 entry that guest byte `guest` is under, and the first word of its entry in the L2 table.
    pub(super) fn place(&self, guest: u64) -> (usize, usize) {
        let l2 = self.header.l2;
        let index = (guest >> self.cluster().bits()) & (l2.entries() - 1);
        let l1_index = usize::try_from(guest >> l2.span_bits()).unwrap_or(usize::MAX);
        (l1_index, usize::try_from(index << l2.entry_word_bits()).unwrap_or(usize::MAX))
    }

    /// The words of the L2 entry of the cluster at guest byte `guest`: the entry, and the bitmap of its subclusters, or 0.
    ///
    /// # Errors
    ///
    /// What reading the table meets.
    pub(super) fn words(&mut self, guest: u64) -> Result<[u64; 2]> {
        let (l1_index, word) = self.place(guest);
        let extended = self.header.l2.extended();
        Ok(match self.l2_table(l1_index)? {
            Some(table) => [table.words[word], if extended { table.words[word + 1] } else { 0 }],
            None => [0, 0],
        })
    }

    /// The L2 table under an L1 entry, in memory, if there is one.
    pub(super) fn l2_table(&mut self, l1_index: usize) -> Result<Option<&mut L2>> {
        let host = self.l1.get(l1_index).copied().unwrap_or(0) & OFFSET_MASK;
        if host == 0 {
            return Ok(None);
        }
        if !self.l2.contains_key(&l1_index) {
            if !self.cluster().aligns(host) {
                let what = format!("is {host}, which is no multiple of the cluster of {} bytes", self.cluster().len());
                let at = self.l1_host + l1_index as u64 * TABLE_ENTRY_LEN;
                return Err(Error::malformed(what).field("L2 table offset").at(at));
            }
            let words = read_table(self.medium.as_ref(), host, self.header.l2.words(), &self.context)?;
            self.l2.insert(l1_index, L2 { host, words, dirty: false });
        }
        Ok(self.l2.get_mut(&l1_index))
    }
}

/// Refuses images that nobody may write to.
fn check_usable(header: &Header) -> Result<()> {
    let place = Place::in_header("incompatible_features", INCOMPATIBLE_FEATURES_AT);
    if header.features.corrupt() {
        return Err(place.malformed("says that the image is corrupt; it has to be repaired before it is changed"));
    }
    if header.features.dirty() {
        let what =
            "says that the image was not closed, so its refcounts cannot be relied on; it has to be repaired first";
        return Err(place.malformed(what));
    }
    Ok(())
}

/// The data file, to be changed.
fn data_medium(header: &Header, context: &OpenContext<'_>) -> Result<Option<Arc<dyn Medium>>> {
    let Some(name) = data_file::name(header)?.filter(|_| !context.describe_only) else { return Ok(None) };
    let writable = context
        .admit_to_write(&name, Role::Extent)
        .map_err(|e| e.context(format!("cannot open the data file {}", name.display())))?;
    Ok(Some(writable.medium))
}

/// Reads a table of `entries` at host byte `host`; what lies behind the end of the file is 0.
///
/// # Errors
///
/// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded), and what reading meets.
pub(super) fn read_table(medium: &dyn Medium, host: u64, entries: u64, context: &OpenContext<'_>) -> Result<Vec<u64>> {
    let len = context.limits.table_len("table", entries, TABLE_ENTRY_LEN)?;
    let mut bytes = vec![0; len];
    medium.read_padded(&mut bytes, host)?;
    Ok(bytes.chunks_exact(8).map(BigEndian::read_u64).collect())
}
