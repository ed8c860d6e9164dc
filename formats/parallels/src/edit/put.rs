//! Guest bytes into clusters.

use std::ops::Range;

use imgfmt_core::{Result, write_zeros};

use crate::disk::{Disk, Space};

/// What is put somewhere.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Zeros, in clusters whose space is taken like this where they are new.
    Zeros(Space),
}

impl Content<'_> {
    /// What of it lies in `part` of `range`.
    fn within(self, range: &Range<u64>, part: &Range<u64>) -> Self {
        let at = |at: u64| usize::try_from(at - range.start).unwrap_or(usize::MAX);
        match self {
            Content::Bytes(bytes) => Content::Bytes(bytes.get(at(part.start)..at(part.end)).unwrap_or_default()),
            Content::Zeros(space) => Content::Zeros(space),
        }
    }

    /// Clusters that are placed and flushed together: so many that flushes do not count, and no more than that.
    fn clusters_at_once(self) -> u64 {
        if matches!(self, Content::Zeros(Space::Hole | Space::Reserved)) { 1 << 14 } else { 64 }
    }
}

impl Disk {
    /// Puts `content` at guest `range`, which lies within the disk.
    pub(super) fn put(&mut self, range: &Range<u64>, content: Content<'_>) -> Result<()> {
        self.mark()?;
        let cluster_len = self.header.cluster_len();
        let mut next = range.start;
        while next < range.end {
            let end = (next / cluster_len).saturating_add(content.clusters_at_once());
            let part = next..range.end.min(end.saturating_mul(cluster_len));
            self.put_part(&part, content.within(range, &part))?;
            next = part.end;
        }
        Ok(())
    }

    /// Puts `content` at a `range` of few clusters.
    fn put_part(&mut self, range: &Range<u64>, content: Content<'_>) -> Result<()> {
        let entries = self.entries(&self.clusters_of(range))?;
        let mut new = Vec::new();
        for ((index, part), entry) in self.parts(range).zip(entries) {
            if entry == 0 {
                new.push((index, part));
            } else {
                self.fill(self.header.host(entry), &part, content.within(range, &part))?;
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let placed = self.place(new.len())?;
        match self.start(&new, &placed, range, content) {
            Ok(()) => {
                let linked: Vec<_> = new.iter().map(|(index, _)| *index).zip(placed).collect();
                self.link(&linked)
            }
            Err(error) => {
                self.take_back(placed);
                Err(error)
            }
        }
    }

    /// Fills the parts of new clusters that have been `placed` and read as zeros.
    fn start(&self, new: &[(u64, Range<u64>)], placed: &[u64], range: &Range<u64>, content: Content<'_>) -> Result<()> {
        for ((_, part), host) in new.iter().zip(placed) {
            let cluster = *host..host + self.header.cluster_len();
            match content {
                Content::Bytes(_) => self.fill(*host, part, content.within(range, part))?,
                Content::Zeros(Space::Hole) => {}
                Content::Zeros(Space::Reserved) => self.medium.reserve(cluster)?,
                Content::Zeros(Space::Zeros) => write_zeros(self.medium.as_ref(), cluster)?,
            }
        }
        Ok(())
    }

    /// Writes `content`, which is as long as `part`, to guest `part` of the cluster at byte `host`.
    fn fill(&self, host: u64, part: &Range<u64>, content: Content<'_>) -> Result<()> {
        let host = self.host_of(host, part);
        match content {
            Content::Bytes(bytes) => self.medium.write_at(bytes, host.start),
            Content::Zeros(Space::Zeros) => write_zeros(self.medium.as_ref(), host),
            Content::Zeros(Space::Hole | Space::Reserved) => self.clear(host),
        }
    }
}
