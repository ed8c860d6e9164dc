//! Pages of tables that are too large to be held.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Result;

/// The pages of a table that were used last, decoded. For any number of threads.
///
/// `K` says which page it is, `V` is what it holds.
#[derive(Debug)]
pub struct Pages<K, V: ?Sized> {
    /// The pages, the one that was used last first; held only to look up and to insert, never while reading.
    held: Mutex<Vec<(K, Arc<V>)>>,
    /// Pages that are held at most.
    max: usize,
}

impl<K: PartialEq, V: ?Sized> Pages<K, V> {
    /// No pages yet, and room for as many pages of `page_len` bytes as `len` bytes are: at least one, at most 64.
    #[must_use]
    pub fn within(len: u64, page_len: u64) -> Self {
        let max = usize::try_from(len / page_len.max(1)).map_or(MAX_PAGES, |pages| pages.clamp(1, MAX_PAGES));
        Self { held: Mutex::default(), max }
    }

    /// The page `key`, from memory or by `read`; it takes the place of the page that was not used for longest.
    ///
    /// Two threads may read the same page at once; no lock is held meanwhile.
    ///
    /// # Errors
    ///
    /// Those of `read`, which leave no trace.
    pub fn get(&self, key: K, read: impl FnOnce() -> Result<Arc<V>>) -> Result<Arc<V>> {
        if let Some(page) = self.held(&key) {
            return Ok(page);
        }
        let page = read()?;
        let mut held = self.lock();
        held.retain(|(other, _)| *other != key);
        held.truncate(self.max - 1);
        held.insert(0, (key, Arc::clone(&page)));
        Ok(page)
    }

    /// The page `key`, where it is in memory.
    pub fn held(&self, key: &K) -> Option<Arc<V>> {
        let mut held = self.lock();
        let index = held.iter().position(|(other, _)| other == key)?;
        held[..=index].rotate_right(1);
        Some(Arc::clone(&held[0].1))
    }

    /// The pages; a thread that panicked cannot have left them half changed.
    fn lock(&self) -> MutexGuard<'_, Vec<(K, Arc<V>)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most pages, of any length: few enough to be looked through.
const MAX_PAGES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    /// What is not to be called.
    fn never() -> Result<Arc<[u64]>> {
        unreachable!("it is in memory")
    }

    #[test]
    fn a_page_is_read_once_while_it_is_in_memory() {
        let pages = Pages::<u64, [u64]>::within(64, 32);
        assert_eq!(*pages.get(3, || Ok([1, 2].into())).unwrap(), [1, 2]);
        assert_eq!(*pages.get(3, never).unwrap(), [1, 2]);
        assert!(pages.get(4, || Err(Error::malformed("it is cut"))).is_err());
        assert!(pages.held(&4).is_none());
        assert_eq!(*pages.get(4, || Ok([5].into())).unwrap(), [5]);
    }

    #[test]
    fn what_was_used_last_stays_and_never_more_than_the_bound() {
        for (len, page_len, max) in [(4096, 1024, 4), (1024, 4096, 1), (1 << 20, 0, MAX_PAGES)] {
            let pages = Pages::<u64, [u64]>::within(len, page_len);
            for key in 0..2 * MAX_PAGES as u64 {
                pages.get(key, || Ok([key].into())).unwrap();
                assert!(max == 1 || pages.get(0, never).is_ok(), "what is used stays");
                assert!(pages.lock().len() <= max);
            }
            let last = 2 * MAX_PAGES as u64 - 1;
            assert_eq!(pages.held(&1), None);
            assert_eq!(pages.lock().len(), max);
            assert_eq!(*pages.get(last, never).unwrap(), [last]);
        }
    }

    #[test]
    fn a_page_that_two_threads_read_is_held_once() {
        let pages = Pages::<u64, [u64]>::within(64, 8);
        let read = || {
            pages.get(7, || Ok([7].into())).unwrap();
            Ok([7].into())
        };
        assert_eq!(*pages.get(7, read).unwrap(), [7]);
        assert_eq!(pages.lock().len(), 1);
    }
}
