//! A stream whose directory and tables come before what they list, or early enough: where each grain will be is known
//! before the first is handed out.

use std::collections::{HashSet, VecDeque};

use imgfmt_core::{Error, ImageStream, Limits, Result, StreamPart};

use super::frame::Frame;
use super::front::{Front, OrReason};
use super::input::Input;
use crate::NAME;
use crate::header::Header;
use crate::layout::{Flags, ZEROED_ENTRY, byte_of, le_u32s};

/// The tables of an extent, in the order of the disk.
pub(super) struct List {
    /// The number of each table that has grains, and its entries.
    tables: VecDeque<(u64, Box<[u32]>)>,
    /// The entry of the first table that comes next.
    slot: usize,
    /// Whether entry 1 is a grain of zeros.
    zeroed: bool,
    /// Entries of a table.
    gtes_per_gt: u64,
}

impl List {
    /// Reads the list of an extent, if it comes early, and its grains lie in the order of the disk.
    pub(super) fn read(front: &mut Front, header: &Header, limits: &Limits) -> Result<OrReason<Self>> {
        let most = limits.metadata_bytes.min(MAX_FRONT);
        let directory_len = header.table_count().saturating_mul(header.entry_len());
        let Some(directory) = front.block(header.gd_offset, directory_len, most)? else {
            return Ok(Err("its grain directory comes late, or is large"));
        };
        let directory = le_u32s(directory);
        let mut list =
            Self { tables: VecDeque::new(), slot: 0, zeroed: header.flags.has(Flags::ZEROED_GRAINS), gtes_per_gt: 0 };
        list.gtes_per_gt = u64::from(header.gtes_per_gt);
        let (mut last, mut empty) = (0, HashSet::from([0]));
        for (number, &sector) in (0..).zip(&directory) {
            if empty.contains(&sector) {
                continue;
            }
            let Some(table) = front.block(u64::from(sector), header.table_len(), most)? else {
                return Ok(Err("its grain tables come late, or are large"));
            };
            let table = le_u32s(table);
            let before = last;
            for &entry in table.iter().filter(|&&entry| !list.is_absent(entry)) {
                if entry <= last {
                    return Ok(Err("its grains are not in the order of the disk"));
                }
                last = entry;
            }
            // A table without grains may be that of many entries: it is looked at once, and not kept. One with grains
            // has its own bytes, or its grains were not in order.
            if last == before {
                empty.insert(sector);
            } else {
                list.tables.push_back((number, table));
            }
        }
        // A directory of zeros may be one that was lost, which the redundant one would tell.
        let lost = last == 0 && header.redundant_directory().is_some();
        Ok(if lost { Err("its grain directory is empty, and the redundant one may not be") } else { Ok(list) })
    }

    /// Whether an entry means that no grain is stored.
    fn is_absent(&self, entry: u32) -> bool {
        entry == 0 || (self.zeroed && entry == ZEROED_ENTRY)
    }

    /// The number of the next grain, and its sector.
    fn next(&mut self) -> Option<(u64, u64)> {
        loop {
            let (number, table) = self.tables.front()?;
            if let Some(&entry) = table.get(self.slot) {
                self.slot += 1;
                if !self.is_absent(entry) {
                    return Some((number * self.gtes_per_gt + self.slot as u64 - 1, u64::from(entry)));
                }
                continue;
            }
            self.tables.pop_front();
            self.slot = 0;
        }
    }
}

/// The grains of a list, as they come.
pub(super) struct ListedStream {
    /// The stream from its first byte on.
    pub(super) input: Input,
    /// The header.
    pub(super) header: Header,
    /// Guest bytes of the disk.
    pub(super) size: u64,
    /// The grains.
    pub(super) list: List,
}

impl ImageStream for ListedStream {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn unit(&self) -> u64 {
        self.header.grain_len()
    }

    fn next_part(&mut self, bytes: &mut Vec<u8>, _max: u64) -> Result<Option<StreamPart>> {
        let Some((number, at)) = self.list.next() else {
            self.input.drain()?;
            return Ok(None);
        };
        self.take(number, at, bytes).map(Some).map_err(|e| e.in_format(NAME))
    }
}

impl ListedStream {
    /// Hands out grain number `number`, which is at sector `at`.
    fn take(&mut self, number: u64, at: u64, bytes: &mut Vec<u8>) -> Result<StreamPart> {
        self.input.skip_to(at)?;
        let sector = self.input.read_sector()?;
        let frame = Frame::parse(&sector, at, &self.header, self.size)?;
        if frame.number != number {
            let what = format!("is that of grain {}, where the tables have grain {number}", frame.number);
            return Err(Error::malformed(what).field("val").at(byte_of(at)));
        }
        frame.read(&sector, &mut self.input, bytes)
    }
}

/// Bytes that are read before it is given up to find all tables: those of some 100 GiB.
const MAX_FRONT: u64 = 8 << 20;
