//! The snapshot table and the bitmap directory: their rules, and what they use.

use std::collections::HashSet;

use imgfmt_core::{Error, ErrorKind, Findings, Limits, Result, StorageExt};

use super::references::References;
use super::rules;
use super::subject::Subject;
use super::tables::each_word;
use crate::bitmaps::Bitmap;
use crate::layout::{
    BITMAP_ALL_ONES, HeaderExtension, ITEM_ALIGN, MAX_L1_LEN, MAX_SNAPSHOT_EXTRA_LEN, OFFSET_MASK, TABLE_ENTRY_LEN,
    VERSION_2,
};
use imgfmt_core::fields::Fields;

/// An entry of the snapshot table.
struct Snapshot {
    /// Host byte of the entry.
    at: u64,
    /// Host byte of its L1 table.
    l1_host: u64,
    /// Entries of its L1 table.
    l1_size: u64,
    /// Guest bytes, where it says so.
    size: Option<u64>,
    /// Bytes of extra data.
    extra_len: u64,
    /// Its id.
    id: Vec<u8>,
    /// Its name.
    name: Vec<u8>,
    /// Bytes of the entry with its padding.
    len: u64,
}

impl Snapshot {
    /// Reads the entry at host byte `at`.
    fn read(subject: &Subject<'_>, at: u64) -> Result<Self> {
        let fixed: [u8; SNAPSHOT_FIXED_LEN] = subject.storage.read_array(at)?;
        let fixed = Fields::new(&fixed, at);
        let extra_len = u64::from(fixed.u32(EXTRA_LEN_AT)?);
        Limits::check("extra_data_size", extra_len, MAX_SNAPSHOT_EXTRA_LEN)?;
        let (id_len, name_len) = (usize::from(fixed.u16(ID_LEN_AT)?), usize::from(fixed.u16(NAME_LEN_AT)?));
        let id_at = SNAPSHOT_FIXED_LEN + extra_len as usize;
        let len = id_at + id_len + name_len;
        let bytes = subject.storage.read_vec(at, len)?;
        let entry = Fields::new(&bytes, at);
        Ok(Self {
            at,
            l1_host: fixed.u64(0)?,
            l1_size: u64::from(fixed.u32(L1_SIZE_AT)?),
            size: if extra_len >= EXTRA_SIZE_END { Some(entry.u64(EXTRA_SIZE_AT)?) } else { None },
            extra_len,
            id: entry.bytes(id_at, id_len)?.to_vec(),
            name: entry.bytes(id_at + id_len, name_len)?.to_vec(),
            len: len.next_multiple_of(ITEM_ALIGN) as u64,
        })
    }

    /// The entry in words.
    fn named(&self) -> String {
        format!("snapshot {} ({})", String::from_utf8_lossy(&self.id), String::from_utf8_lossy(&self.name))
    }
}

/// Reads the snapshot table into `all`, and tells `findings` of what breaks its rules.
///
/// # Errors
///
/// [`Io`](ErrorKind::Io).
pub(super) fn snapshots(subject: &Subject<'_>, all: &mut References, findings: &mut Findings) -> Result<()> {
    let header = &subject.header;
    let (mut at, mut ids, mut names) = (header.snapshots_offset, HashSet::new(), HashSet::new());
    for index in 0..header.nb_snapshots {
        let within = Limits::check("snapshot table", at - header.snapshots_offset, subject.limits.metadata_bytes);
        let snapshot = match within.and_then(|()| Snapshot::read(subject, at)) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let what = format!("snapshot table entry {index} cannot be read: {}", not_io(error)?);
                findings.push(rules::SNAPSHOT_MALFORMED.finding(what).at(at));
                all.incomplete = true;
                break;
            }
        };
        check_snapshot(subject, &snapshot, index, all, findings);
        let mut twice = |rule: rules::Rule, what: &str, seen: &mut HashSet<Vec<u8>>, text: &[u8]| {
            if !seen.insert(text.to_vec()) {
                let what = format!("{}: another snapshot has the same {what}", snapshot.named());
                findings.push(rule.finding(what).at(snapshot.at));
            }
        };
        twice(rules::SNAPSHOT_ID_TWICE, "id", &mut ids, &snapshot.id);
        twice(rules::SNAPSHOT_NAME_TWICE, "name", &mut names, &snapshot.name);
        at += snapshot.len;
    }
    if at > header.snapshots_offset {
        all.region(subject, header.snapshots_offset, at - header.snapshots_offset, findings);
    }
    Ok(())
}

/// Checks an entry of the snapshot table, and adds its L1 table to `all`.
fn check_snapshot(
    subject: &Subject<'_>,
    snapshot: &Snapshot,
    index: u32,
    all: &mut References,
    findings: &mut Findings,
) {
    let header = &subject.header;
    let (host, entries, named) = (snapshot.l1_host, snapshot.l1_size, snapshot.named());
    let mut tell = |rule: rules::Rule, what: String| findings.push(rule.finding(what).at(snapshot.at));
    if header.version != VERSION_2 && snapshot.extra_len < EXTRA_SIZE_END {
        tell(rules::SNAPSHOT_INCOMPLETE, format!("snapshot table entry {index} is incomplete"));
    }
    if !header.cluster.aligns(host) {
        tell(
            rules::SNAPSHOT_L1_UNALIGNED,
            format!("{named} l1_offset={host:#x}: L1 table is not cluster aligned; snapshot table entry corrupted"),
        );
        all.incomplete = true;
        return;
    }
    if entries > MAX_L1_LEN / TABLE_ENTRY_LEN {
        tell(
            rules::SNAPSHOT_L1_TOO_LARGE,
            format!("{named} l1_size={entries:#x}: L1 table is too large; snapshot table entry corrupted"),
        );
        all.incomplete = true;
        return;
    }
    let size = snapshot.size.unwrap_or(header.size);
    if size.div_ceil(1 << header.l2.span_bits()) > entries {
        let what = format!("{named} l1_size={entries:#x}: L1 table does not cover a disk of {size} bytes");
        tell(rules::SNAPSHOT_L1_SHORT, what);
    }
    all.l1(subject, host, entries, false, findings);
}

/// Reads the bitmap directory into `all`, and tells `findings` of what breaks its rules.
///
/// # Errors
///
/// [`Io`](ErrorKind::Io).
pub(super) fn bitmaps(subject: &Subject<'_>, all: &mut References, findings: &mut Findings) -> Result<()> {
    let header = &subject.header;
    let Some(extension) = header.extensions.find(HeaderExtension::BITMAPS) else { return Ok(()) };
    if !header.features.bitmaps() {
        let what = "the image was changed by what knows no bitmaps; they are out of step with it and mean nothing";
        findings.push(rules::BITMAPS_STALE.finding(what).at(extension.at));
        return Ok(());
    }
    let list = match Bitmap::read_all(subject.storage, header, subject.limits) {
        Ok(list) => list,
        Err(error) => {
            let at = error.offset().unwrap_or(extension.at);
            let what = format!("the bitmap directory cannot be read: {}", not_io(error)?);
            findings.push(rules::BITMAPS_MALFORMED.finding(what).at(at));
            all.incomplete = true;
            return Ok(());
        }
    };
    let fields = Fields::new(&extension.data, extension.at);
    all.region(subject, fields.u64(DIRECTORY_AT)?, fields.u64(DIRECTORY_LEN_AT)?, findings);
    for bitmap in &list {
        check_bitmap(subject, bitmap, all, findings)?;
    }
    Ok(())
}

/// Checks a bitmap, and adds its table to `all`.
fn check_bitmap(subject: &Subject<'_>, bitmap: &Bitmap, all: &mut References, findings: &mut Findings) -> Result<()> {
    let (info, host, entries) = (bitmap.info(), bitmap.table_offset, u64::from(bitmap.table_size));
    let at = bitmap.table_place().at;
    if info.inconsistent {
        let what = format!("bitmap {}: it was in use when the image was last closed", info.name);
        findings.push(rules::BITMAP_IN_USE.finding(what).at(at));
    }
    let cluster_len = subject.cluster().len();
    let needed = subject.header.size.div_ceil(info.granularity).div_ceil(8 * cluster_len);
    if needed != entries {
        let what = format!("bitmap {}: its table has {entries} entries, but its bits take {needed}", info.name);
        findings.push(rules::BITMAP_TABLE_LENGTH.finding(what).at(at));
    }
    if entries == 0 {
        return Ok(());
    }
    if !subject.cluster().aligns(host) || host == 0 {
        let what = format!("bitmap {}: table offset={host:#x} is no cluster behind the header", info.name);
        findings.push(rules::BITMAP_TABLE_UNALIGNED.finding(what).at(at));
        all.incomplete = true;
        return Ok(());
    }
    if !all.bitmap_table(subject, host, entries, findings) {
        return Ok(());
    }
    each_word(subject, host, entries, &mut |index, raw| {
        let place = host + index * TABLE_ENTRY_LEN;
        let bits = raw & OFFSET_MASK;
        if !bitmap_entry_follows(subject, raw) {
            let what = format!("bitmap {}: table entry {index} cannot be followed: {raw:x}", info.name);
            findings.push(rules::BITMAP_ENTRY.finding(what).at(place));
            all.incomplete = true;
        } else if bits != 0 && subject.region(bits, cluster_len).is_none() {
            findings.push(rules::METADATA_OUTSIDE.finding(super::l2::outside(bits, cluster_len)).at(place));
            all.incomplete = true;
        }
        Ok(())
    })
}

/// Whether an entry of a bitmap table keeps the rules: no reserved bits, and a cluster or bit 0, not both.
pub(super) fn bitmap_entry_follows(subject: &Subject<'_>, raw: u64) -> bool {
    let host = raw & OFFSET_MASK;
    raw & BITMAP_ENTRY_RESERVED_MASK == 0
        && (host == 0 || (raw & BITMAP_ALL_ONES == 0 && subject.cluster().aligns(host)))
}

/// `error` in words, unless it is the operating system's.
fn not_io(error: Error) -> Result<String> {
    if error.kind() == ErrorKind::Io {
        return Err(error);
    }
    let mut text = error.to_string();
    let mut level: &dyn std::error::Error = &error;
    while let Some(source) = level.source() {
        text = format!("{text}: {source}");
        level = source;
    }
    Ok(text)
}

/// Bytes of a snapshot's entry before its extra data. Section "Snapshots".
const SNAPSHOT_FIXED_LEN: usize = 40;
/// Offset of the entries of the L1 table in it.
const L1_SIZE_AT: usize = 8;
/// Offset of the length of the id in it.
const ID_LEN_AT: usize = 12;
/// Offset of the length of the name in it.
const NAME_LEN_AT: usize = 14;
/// Offset of the length of the extra data in it.
const EXTRA_LEN_AT: usize = 36;
/// Offset of the virtual size in it.
const EXTRA_SIZE_AT: usize = 48;
/// Bytes of extra data with the virtual size, which version 3 asks for.
const EXTRA_SIZE_END: u64 = 16;
/// Offset of the length of the directory in the bitmaps extension. Section "Bitmaps extension".
const DIRECTORY_LEN_AT: usize = 8;
/// Offset of the directory's place in it.
const DIRECTORY_AT: usize = 16;
/// The reserved bits of an entry of a bitmap table. Section "Bitmap table".
const BITMAP_ENTRY_RESERVED_MASK: u64 = 0xff00_0000_0000_01fe;
