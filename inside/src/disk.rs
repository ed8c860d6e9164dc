//! Reading a disk within bounds.

use std::cell::{Cell, RefCell};

use imgfmt_core::{Image, Result};

use crate::found::{Finding, Severity};

/// A disk that gives no more than it is good to read.
pub(crate) struct Disk<'a> {
    /// The disk.
    image: &'a dyn Image,
    /// The first sector, as far as there is one.
    first: Vec<u8>,
    /// Bytes that may still be read.
    left: Cell<u64>,
    /// What could not be read.
    findings: RefCell<Vec<Finding>>,
}

impl<'a> Disk<'a> {
    /// Reads the first sector of `image`.
    pub(crate) fn open(image: &'a dyn Image) -> Result<Self> {
        let mut first = vec![0; usize::try_from(image.size()).unwrap_or(FIRST_LEN).min(FIRST_LEN)];
        image.read_at(&mut first, 0)?;
        Ok(Self { image, first, left: Cell::new(MAX_READ), findings: RefCell::new(Vec::new()) })
    }

    /// Bytes of the disk.
    pub(crate) fn len(&self) -> u64 {
        self.image.size()
    }

    /// The first sector; empty where the disk has less.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
    }

    /// Up to `len` bytes from `offset` on: fewer at the end of the disk, none where they cannot be read.
    pub(crate) fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let there = self.len().saturating_sub(offset);
        let len = usize::try_from(there).unwrap_or(len).min(len);
        if len == 0 {
            return Vec::new();
        }
        let mut bytes = vec![0; len];
        match self.left.get().checked_sub(len as u64) {
            None => {
                self.miss("disk.not-looked-at", offset, "there is more to look at than is read");
                return Vec::new();
            }
            Some(left) => self.left.set(left),
        }
        match self.image.read_at(&mut bytes, offset) {
            Ok(()) => bytes,
            Err(error) => {
                self.miss("disk.unreadable", offset, &format!("{len} bytes cannot be read: {error}"));
                Vec::new()
            }
        }
    }

    /// Exactly `len` bytes from `offset` on, where they can be had.
    pub(crate) fn read_exact(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        Some(self.read(offset, len)).filter(|bytes| bytes.len() == len && len > 0)
    }

    /// Takes note of what was not read; once for each kind.
    fn miss(&self, code: &'static str, at: u64, what: &str) {
        let mut findings = self.findings.borrow_mut();
        if findings.iter().all(|finding| finding.code != code) {
            findings.push(Finding { code, severity: Severity::Warning, at: Some(at), what: what.to_owned() });
        }
    }

    /// What was not read.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings.into_inner()
    }
}

/// Bytes of the first sector.
const FIRST_LEN: usize = 512;
/// Bytes that are read of a disk at most.
const MAX_READ: u64 = 4 << 20;
