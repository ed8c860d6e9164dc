//! The image that is looked at: as much of its header as can be used, and which places its file has.

use std::cell::Cell;
use std::ops::Range;

use imgfmt_core::{Findings, Limits, Result, Storage, StorageExt};

use super::rules::{self, Rule};
use super::width::RefcountWidth;
use crate::cluster::ClusterBits;
use crate::header::Header;
use crate::layout::{
    CLUSTER_BITS_AT, L1_SIZE_AT, L1_TABLE_OFFSET_AT, MIN_CLUSTER_BITS, NB_SNAPSHOTS_AT, REFCOUNT_TABLE_CLUSTERS_AT,
    REFCOUNT_TABLE_OFFSET_AT, SIZE_AT,
};

/// An image that is looked at.
pub(super) struct Subject<'a> {
    /// The file.
    pub(super) storage: &'a dyn Storage,
    /// The header; fields that nothing can be done with are as in an empty image.
    pub(super) header: Header,
    /// Bounds on memory.
    pub(super) limits: &'a Limits,
    /// Length of the file when the look began.
    pub(super) file_len: u64,
    /// Fields of the header that nothing can be done with.
    pub(super) lost: Vec<&'static Lost>,
    /// Bytes of the file that are known to be no hole.
    data: Cell<(u64, u64)>,
}

/// A field of the header without which a part of the image is lost.
#[derive(Debug)]
pub(super) struct Lost {
    /// The fields, as errors name them.
    names: &'static [&'static str],
    /// The rule that is broken.
    pub(super) rule: Rule,
    /// Where which 32-bit number makes it the field of an empty image.
    empty: &'static [(usize, u32)],
}

impl<'a> Subject<'a> {
    /// Reads the header of the image in `storage`.
    ///
    /// # Errors
    ///
    /// As [`Header::read`], but for fields that only name a part of the image: they are told to `findings`, and marked as
    /// mended where refcounts are `rebuilt`.
    pub(super) fn read(
        storage: &'a dyn Storage,
        limits: &'a Limits,
        rebuilt: bool,
        findings: &mut Findings,
    ) -> Result<Self> {
        let mut first = first_cluster(storage)?;
        let mut lost: Vec<&Lost> = Vec::new();
        let header = loop {
            let error = match Header::parse(&first, limits) {
                Ok(header) => break header,
                Err(error) => error,
            };
            let found = LOST.iter().find(|field| error.field_name().is_some_and(|name| field.names.contains(&name)));
            let Some(field) = found.filter(|field| !lost.iter().any(|known| std::ptr::eq(*known, *field))) else {
                return Err(error);
            };
            let finding = field.rule.finding(format!("{} {}", error.field_name().unwrap_or_default(), said(&error)));
            let fixed = rebuilt && field.rule.repair.is_some();
            findings.push(finding.at(error.offset().unwrap_or(0)).fixed(fixed));
            for &(at, value) in field.empty {
                if let Some(place) = first.get_mut(at..at + 4) {
                    place.copy_from_slice(&value.to_be_bytes());
                }
            }
            lost.push(field);
        };
        Ok(Self { storage, header, limits, file_len: storage.len(), lost, data: Cell::default() })
    }

    /// Length of the clusters.
    pub(super) fn cluster(&self) -> ClusterBits {
        self.header.cluster
    }

    /// Clusters of the file, the last of which need not be whole.
    pub(super) fn clusters(&self) -> u64 {
        self.file_len.div_ceil(self.cluster().len())
    }

    /// How wide refcounts are.
    pub(super) fn width(&self) -> RefcountWidth {
        RefcountWidth::new(self.header.refcount_order)
    }

    /// The clusters that `len` bytes from host byte `host` on touch; `None` where they pass the end of the file by a
    /// cluster or more. The last cluster of a file need not be whole.
    pub(super) fn region(&self, host: u64, len: u64) -> Option<Range<u64>> {
        let end = host.checked_add(len)?;
        if end.saturating_sub(self.file_len) >= self.cluster().len() {
            return None;
        }
        let bits = self.cluster().bits();
        Some(host >> bits..end.div_ceil(self.cluster().len()))
    }

    /// Whether `len` bytes from host byte `host` on are a hole.
    pub(super) fn is_hole(&self, host: u64, len: u64) -> bool {
        let (start, end) = self.data.get();
        if host >= self.file_len || (start..end).contains(&host) {
            return false;
        }
        let Ok(segment) = self.storage.segment(host) else { return false };
        if !segment.hole {
            self.data.set((host, host.saturating_add(segment.len.get())));
        }
        segment.hole && segment.len.get() >= len
    }

    /// Whether a lost field is of this rule.
    pub(super) fn has_lost(&self, rule: &Rule) -> bool {
        self.lost.iter().any(|field| field.rule.id == rule.id)
    }
}

/// Reads the first cluster, or as much of it as the file has.
fn first_cluster(storage: &dyn Storage) -> Result<Vec<u8>> {
    let mut first = vec![0; 1 << MIN_CLUSTER_BITS];
    let there = storage.read_padded(&mut first, 0)?;
    let bits = first[CLUSTER_BITS_AT..CLUSTER_BITS_AT + 4].iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
    first.truncate(there);
    if let Some(cluster) = ClusterBits::new(bits) {
        first.resize(cluster.in_memory(), 0);
        let there = storage.read_padded(&mut first, 0)?;
        first.truncate(there);
    }
    Ok(first)
}

/// What is wrong with a field, without the place and the field.
fn said(error: &imgfmt_core::Error) -> String {
    let text = error.to_string();
    let name = error.field_name().unwrap_or_default();
    match text.split_once(&format!("{name} ")) {
        Some((_, said)) => said.to_owned(),
        None => text,
    }
}

/// The fields without which the rest can still be looked at.
static LOST: [Lost; 3] = [
    Lost {
        names: &["refcount_table_offset", "refcount_table_clusters"],
        rule: rules::REFCOUNT_TABLE_LOST,
        empty: &[(REFCOUNT_TABLE_OFFSET_AT, 0), (REFCOUNT_TABLE_OFFSET_AT + 4, 0), (REFCOUNT_TABLE_CLUSTERS_AT, 1)],
    },
    Lost { names: &["nb_snapshots", "snapshots_offset"], rule: rules::SNAPSHOTS_LOST, empty: &[(NB_SNAPSHOTS_AT, 0)] },
    Lost {
        names: &["l1_size", "l1_table_offset"],
        rule: rules::L1_LOST,
        empty: &[(L1_SIZE_AT, 0), (L1_TABLE_OFFSET_AT, 0), (L1_TABLE_OFFSET_AT + 4, 0), (SIZE_AT, 0), (SIZE_AT + 4, 0)],
    },
];
