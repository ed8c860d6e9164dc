//! Where new clusters go, and how clusters move.

use imgfmt_core::{Result, StorageExt};

use super::Disk;

/// What is done about the space of a new cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// Nothing: it is a hole.
    Hole,
    /// The file system takes it.
    Reserved,
    /// Zeros are written.
    Zeros,
}

impl Disk {
    /// Places for `count` clusters, which read as zeros. Nothing leads there yet.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where no entry could lead there, and what the medium says.
    pub(crate) fn place(&mut self, count: usize) -> Result<Vec<u64>> {
        let mut placed: Vec<_> = std::iter::from_fn(|| self.free.pop_first()).take(count).collect();
        let mut end = self.end;
        while placed.len() < count {
            placed.push(end);
            end += self.header.cluster_len();
        }
        if let Err(error) = self.make_zero(&placed) {
            self.free.extend(placed.into_iter().filter(|host| *host < self.end));
            return Err(error);
        }
        self.end = end;
        Ok(placed)
    }

    /// Makes clusters read as zeros that nothing leads to, and the file long enough for them.
    fn make_zero(&self, places: &[u64]) -> Result<()> {
        let Some(last) = places.iter().max() else { return Ok(()) };
        self.header.entry(*last)?;
        for host in places {
            self.clear(*host..host + self.header.cluster_len())?;
        }
        let end = last + self.header.cluster_len();
        if end > self.storage().len() { self.medium.set_len(end) } else { Ok(()) }
    }

    /// Lets the places go that were given and that nothing leads to.
    pub(crate) fn take_back(&mut self, placed: Vec<u64>) {
        self.free.extend(placed);
    }

    /// Makes entries, in the order of the BAT, lead to clusters that have been placed, once what they hold is on the medium.
    pub(crate) fn link(&mut self, placed: &[(u64, u64)]) -> Result<()> {
        let changes: Result<Vec<_>> =
            placed.iter().map(|(index, host)| Ok((*index, self.header.entry(*host)?))).collect();
        let changes = changes?;
        self.medium.sync()?;
        self.set_entries(&changes)
    }

    /// Moves clusters, which come with their places in the order of the BAT, elsewhere. Where they were is not used again.
    pub(super) fn move_away(&mut self, clusters: &[(u64, u64)]) -> Result<()> {
        for some in clusters.chunks(MOVES_AT_ONCE) {
            let places = self.place(some.len())?;
            let copied = some.iter().zip(&places).try_for_each(|((_, from), to)| self.copy(*from, *to));
            if let Err(error) = copied {
                self.take_back(places);
                return Err(error);
            }
            let placed: Vec<_> = some.iter().map(|(index, _)| *index).zip(places).collect();
            self.link(&placed)?;
        }
        Ok(())
    }

    /// Copies the cluster at byte `from` to byte `to`, which reads as zeros. What the file lacks of it is zero.
    fn copy(&self, from: u64, to: u64) -> Result<()> {
        let end = self.storage().len().min(from + self.header.cluster_len());
        let mut next = from;
        while next < end {
            let len = COPY_LEN.min(end - next);
            let bytes = self.storage().read_vec(next, usize::try_from(len).unwrap_or(usize::MAX))?;
            if bytes.iter().any(|byte| *byte != 0) {
                self.medium.write_at(&bytes, to + (next - from))?;
            }
            next += len;
        }
        Ok(())
    }
}

/// Bytes that are copied at once.
const COPY_LEN: u64 = 1 << 20;
/// Clusters that are moved before the entries of all are written.
const MOVES_AT_ONCE: usize = 64;
