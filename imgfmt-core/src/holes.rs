//! Data that lies in a hole of its file: stored, as far as the format knows, and zero, as far as the file system does.
//!
//! A flat extent or an image that was made with room for all its data in advance can be terabytes of this.

use std::ops::Range;

use crate::Result;
use crate::extent::{Extent, ExtentKind, SourceId};
use crate::image::{EXTENTS_AT_ONCE, Image, ImageExt, visit_windows};
use crate::read::source_of;
use crate::storage::Storage;

/// Asks images for extents, and file systems for the holes in them.
#[derive(Debug, Default)]
pub struct Holes {
    /// Of each source, a run that is known to be no hole: the question is not asked again for each extent in it.
    data: Vec<Range<u64>>,
    /// Room for one answer of the map.
    answer: Vec<Extent>,
}

impl Holes {
    /// Nothing is known yet. One serves one image.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`ImageExt::extents`], but data in a hole of its file is explicitly [`Zero`](ExtentKind::Zero). Extents of less
    /// than 128 KiB are taken as they are: to read them is as quick as to ask.
    ///
    /// # Errors
    ///
    /// As [`ImageExt::extents`].
    pub fn extents<I: Image + ?Sized>(
        &mut self,
        image: &I,
        range: Range<u64>,
        max: usize,
        extents: &mut Vec<Extent>,
    ) -> Result<u64> {
        let most = extents.len().saturating_add(max.max(1));
        let mut answer = std::mem::take(&mut self.answer);
        answer.clear();
        let mut reached = image.extents(range, max, &mut answer)?;
        for extent in &answer {
            if extents.len() >= most {
                reached = extent.start;
                break;
            }
            let end = self.split(image, extent, most, extents)?;
            if end < extent.end() {
                reached = end;
                break;
            }
        }
        self.answer = answer;
        Ok(reached)
    }

    /// As [`ImageExt::visit_extents`], of extents as [`extents`](Self::extents) tells them.
    ///
    /// # Errors
    ///
    /// As [`extents`](Self::extents), and what `visit` returns.
    pub fn visit<I: Image + ?Sized>(
        &mut self,
        image: &I,
        range: Range<u64>,
        visit: &mut dyn FnMut(Extent) -> Result<()>,
    ) -> Result<()> {
        let ask = |range, extents: &mut Vec<Extent>| self.extents(image, range, EXTENTS_AT_ONCE, extents);
        visit_windows(image.sources(), range, ask, visit)
    }

    /// Says whether byte `host` of `storage`, which is `source`, lies in a hole, and for how many bytes that stays true; 0 where
    /// that cannot be known.
    pub fn segment(&mut self, source: SourceId, storage: &dyn Storage, host: u64) -> (bool, u64) {
        let index = source.0 as usize;
        if self.data.len() <= index {
            self.data.resize(index + 1, 0..0);
        }
        let known = &mut self.data[index];
        if known.contains(&host) {
            return (false, known.end - host);
        }
        // What lies behind the end of the file is for the reader to tell.
        let Ok(segment) = storage.segment(host) else { return (false, 0) };
        if !segment.hole {
            *known = host..host.saturating_add(segment.len.get());
        }
        (segment.hole, segment.len.get())
    }

    /// Appends the parts of `extent` to `extents`, until those are `most`, and returns where the parts end.
    fn split<I: Image + ?Sized>(
        &mut self,
        image: &I,
        extent: &Extent,
        most: usize,
        extents: &mut Vec<Extent>,
    ) -> Result<u64> {
        let (source, host) = match extent.kind {
            ExtentKind::Data { source, host } if extent.len >= WORTH_A_QUESTION => (source, host),
            _ => {
                extents.push(*extent);
                return Ok(extent.end());
            }
        };
        let storage = source_of(image, source)?.as_ref();
        let mut at = extent.start;
        while at < extent.end() && extents.len() < most {
            let (hole, len) = self.segment(source, storage, host + (at - extent.start));
            let end = if len == 0 { extent.end() } else { at.saturating_add(len).min(extent.end()) };
            let part = extent.clipped(&(at..end));
            extents.push(if hole { Extent { kind: ExtentKind::Zero { explicit: true }, ..part } } else { part });
            at = end;
        }
        Ok(at)
    }
}

/// Bytes of the shortest extent for which the file system is asked.
const WORTH_A_QUESTION: u64 = 128 << 10;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::sync::Arc;

    use super::*;
    use crate::info::Description;
    use crate::storage::FileStorage;

    /// A disk that is one file, all of it data.
    struct Flat(Vec<Arc<dyn Storage>>);

    impl Image for Flat {
        fn size(&self) -> u64 {
            self.0[0].len()
        }

        fn sources(&self) -> &[Arc<dyn Storage>] {
            &self.0
        }

        fn map(&self, range: Range<u64>, sink: &mut crate::extent::ExtentSink<'_>) -> Result<()> {
            sink.push(
                range.start,
                range.end - range.start,
                ExtentKind::Data { source: SourceId(0), host: range.start },
            );
            Ok(())
        }

        fn stored_body(&self, _: u64, _: &crate::extent::Encoded, stored: &[u8]) -> Result<Range<usize>> {
            Ok(0..stored.len())
        }

        fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
            self.0[0].read_at(buf, offset)
        }

        fn describe(&self) -> Description {
            Description::default()
        }
    }

    /// A file of 64 MiB with 1 MiB of data at every fourth.
    fn sparse() -> Flat {
        let file: File = tempfile::tempfile().unwrap();
        file.set_len(64 << 20).unwrap();
        for at in (0..64u64).step_by(4) {
            file.write_all_at(&[7; 1 << 20], at << 20).unwrap();
        }
        Flat(vec![Arc::new(FileStorage::from_file(file).unwrap())])
    }

    #[test]
    fn holes_become_zeros_and_the_rest_stays_where_it_is() {
        let disk = sparse();
        if !disk.0[0].segment(1 << 20).unwrap().hole {
            return println!("skipped: this file system has no holes");
        }
        let mut extents = Vec::new();
        let end = Holes::new().extents(&disk, 0..disk.size(), EXTENTS_AT_ONCE, &mut extents).unwrap();
        assert_eq!((end, extents.len()), (64 << 20, 32));
        for (index, pair) in extents.chunks(2).enumerate() {
            let start = (index as u64 * 4) << 20;
            assert_eq!((pair[0].start, pair[0].len), (start, 1 << 20));
            assert!(matches!(pair[0].kind, ExtentKind::Data { host, .. } if host == start));
            assert_eq!((pair[1].start, pair[1].len), (start + (1 << 20), 3 << 20));
            assert_eq!(pair[1].kind, ExtentKind::Zero { explicit: true });
        }
    }

    #[test]
    fn an_answer_is_no_longer_than_it_may_be_and_the_next_goes_on_there() {
        let disk = sparse();
        let (mut holes, mut all, mut next) = (Holes::new(), Vec::new(), 0);
        while next < disk.size() {
            let before = all.len();
            let end = holes.extents(&disk, next..disk.size(), 3, &mut all).unwrap();
            assert!((1..=3).contains(&(all.len() - before)));
            assert!(end > next && all.last().unwrap().end() == end);
            next = end;
        }
        assert!(all.windows(2).all(|pair| pair[0].end() == pair[1].start));
    }
}
