//! L1 and L2 tables: every L2 table is visited once, whatever number of L1 entries name it.

use std::collections::BTreeMap;

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::{Result, StorageExt};

use super::subject::Subject;
use crate::layout::{OFFSET_MASK, TABLE_ENTRY_LEN};

/// An L1 table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct L1 {
    /// Host byte of its first entry.
    pub(super) host: u64,
    /// How many entries it has.
    pub(super) entries: u64,
    /// How many states of the disk have it.
    pub(super) times: u64,
    /// Whether it is that of the active state.
    pub(super) active: bool,
}

/// What L1 entries name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct L2Table {
    /// Host byte of its first entry.
    pub(super) host: u64,
    /// How many L1 entries name it.
    pub(super) times: u64,
    /// The first entry of the active L1 table that does.
    pub(super) active: Option<u64>,
    /// Whether it is at a cluster border and in the file.
    pub(super) follows: bool,
}

impl L1 {
    /// Calls `visit` with every entry that is not 0, and its index.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io), and what `visit` says.
    pub(super) fn each_entry(
        &self,
        subject: &Subject<'_>,
        visit: &mut dyn FnMut(u64, u64) -> Result<()>,
    ) -> Result<()> {
        each_word(subject, self.host, self.entries, visit)
    }
}

/// Calls `visit` with the index and the value of every word that is not 0 of the `words` from host byte `host` on. Words
/// that the file does not have are 0.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io), and what `visit` says.
pub(super) fn each_word(
    subject: &Subject<'_>,
    host: u64,
    words: u64,
    visit: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<()> {
    let there = subject.file_len.saturating_sub(host).div_ceil(TABLE_ENTRY_LEN);
    let words = words.min(there);
    let mut bytes = Vec::new();
    let mut first = 0;
    while first < words {
        let at = host + first * TABLE_ENTRY_LEN;
        let count = (words - first).min(WORDS_AT_ONCE);
        if let Ok(segment) = subject.storage.segment(at)
            && segment.hole
            && segment.len.get() >= TABLE_ENTRY_LEN
        {
            first += segment.len.get() / TABLE_ENTRY_LEN;
            continue;
        }
        bytes.resize((count * TABLE_ENTRY_LEN) as usize, 0);
        subject.storage.read_padded(&mut bytes, at)?;
        let read = bytes.chunks_exact(TABLE_ENTRY_LEN as usize).map(BigEndian::read_u64);
        for (index, word) in (first..).zip(read).filter(|(_, word)| *word != 0) {
            visit(index, word)?;
        }
        first += count;
    }
    Ok(())
}

/// Calls `visit` with every L2 table that the tables in `l1s` name, once, in the order of the file, and with its words;
/// without any for a table that cannot be followed or is a hole.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io), and what `visit` says.
pub(super) fn each_table(
    subject: &Subject<'_>,
    l1s: &[L1],
    visit: &mut dyn FnMut(L2Table, &mut [u64]) -> Result<()>,
) -> Result<()> {
    let cluster = subject.cluster();
    let (mut bytes, mut words) = (vec![0; cluster.in_memory()], Vec::new());
    let mut window = Some(0);
    while let Some(first) = window {
        let (tables, next) = collect(subject, l1s, first)?;
        for (host, (times, active)) in tables {
            let follows = cluster.aligns(host) && subject.region(host, cluster.len()).is_some();
            words.clear();
            if follows && !subject.is_hole(host, cluster.len()) {
                subject.storage.read_padded(&mut bytes, host)?;
                words.extend(bytes.chunks_exact(TABLE_ENTRY_LEN as usize).map(BigEndian::read_u64));
            }
            visit(L2Table { host, times, active, follows }, &mut words)?;
        }
        window = next;
    }
    Ok(())
}

/// L2 tables by their places: how many entries name them, and which one of the active table.
type Found = BTreeMap<u64, (u64, Option<u64>)>;

/// The L2 tables from host byte `first` on, as many as memory allows, and where those begin that it does not.
fn collect(subject: &Subject<'_>, l1s: &[L1], first: u64) -> Result<(Found, Option<u64>)> {
    let max = usize::try_from(subject.limits.metadata_bytes / FOUND_LEN).unwrap_or(usize::MAX).max(MIN_FOUND);
    let (mut found, mut end) = (Found::new(), None);
    for l1 in l1s {
        l1.each_entry(subject, &mut |index, raw| {
            let host = raw & OFFSET_MASK;
            if host == 0 || host < first || end.is_some_and(|end| host >= end) {
                return Ok(());
            }
            let (times, active) = found.entry(host).or_insert((0, None));
            *times = times.saturating_add(l1.times);
            if l1.active {
                active.get_or_insert(index);
            }
            if found.len() > max {
                end = found.pop_last().map(|(host, _)| host);
            }
            Ok(())
        })?;
    }
    Ok((found, end))
}

/// Words that are read at once: 256 KiB.
const WORDS_AT_ONCE: u64 = 32 << 10;
/// What is taken for each L2 table that is remembered, about, in bytes.
const FOUND_LEN: u64 = 64;
/// L2 tables that are remembered whatever the limits say.
const MIN_FOUND: usize = 64;
