//! Pages that were asked for last, kept in memory.

use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::Result;

use crate::layout::ENTRY_LEN;

/// Pages by their place and length; each has one slot that it can be in, and replaces what is there.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    /// The slots.
    slots: Box<[Mutex<Slot<T>>]>,
}

/// The first host byte of a page, and its entries.
pub(crate) type Place = (u64, u64);
/// A page in memory, and which it is.
type Slot<T> = Option<(Place, Arc<T>)>;

impl<T> Cache<T> {
    /// A cache of nothing yet, with room for so many pages.
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots: (0..slots.max(1)).map(|_| Mutex::new(None)).collect() }
    }

    /// The page at `place`, from memory or by `read`.
    ///
    /// Two threads may read the same page at once; no lock is held meanwhile.
    pub(crate) fn get(&self, place: Place, read: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let slot = &self.slots[self.slot(place)];
        // What is in a slot is whole at any time, so a thread that panicked elsewhere does no harm.
        if let Some((held, page)) = &*slot.lock().unwrap_or_else(PoisonError::into_inner)
            && *held == place
        {
            return Ok(Arc::clone(page));
        }
        let page = Arc::new(read()?);
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((place, Arc::clone(&page)));
        Ok(page)
    }

    /// The slot for a page. Tables lie at multiples of their own length, so its low bits alone would tell little.
    fn slot(&self, (at, _): Place) -> usize {
        let mixed = (at / ENTRY_LEN).wrapping_mul(SPREAD) >> 32;
        usize::try_from(mixed % self.slots.len() as u64).unwrap_or(0)
    }
}

/// An odd number that spreads what it multiplies over the upper bits: 2⁶⁴ divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use imgfmt_core::Error;

    use super::*;

    #[test]
    fn a_page_is_read_once_until_another_takes_its_slot() {
        let cache = Cache::new(1);
        assert_eq!(*cache.get((3, 1), || Ok("three")).unwrap(), "three");
        assert_eq!(*cache.get((3, 1), || unreachable!("it is in memory")).unwrap(), "three");
        assert_eq!(*cache.get((3, 2), || Ok("longer")).unwrap(), "longer");
        assert!(cache.get((3, 1), || Err(Error::malformed("it is read again"))).is_err());
    }
}
