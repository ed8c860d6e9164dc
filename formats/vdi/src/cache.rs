//! Pages that were asked for last, kept in memory.

use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::Result;

/// Pages by number; each has one slot that it can be in, and replaces what is there.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    /// The slots.
    slots: Box<[Mutex<Slot<T>>]>,
}

/// A page in memory, and which it is.
type Slot<T> = Option<(u64, Arc<T>)>;

impl<T> Cache<T> {
    /// A cache of nothing yet, with room for so many pages.
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots: (0..slots.max(1)).map(|_| Mutex::new(None)).collect() }
    }

    /// Page `number`, from memory or by `read`.
    ///
    /// Two threads may read the same page at once; no lock is held meanwhile.
    pub(crate) fn get(&self, number: u64, read: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let slot = &self.slots[usize::try_from(number % self.slots.len() as u64).unwrap_or(0)];
        // What is in a slot is whole at any time, so a thread that panicked elsewhere does no harm.
        if let Some((held, page)) = &*slot.lock().unwrap_or_else(PoisonError::into_inner)
            && *held == number
        {
            return Ok(Arc::clone(page));
        }
        let page = Arc::new(read()?);
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, Arc::clone(&page)));
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use imgfmt_core::Error;

    use super::*;

    #[test]
    fn a_page_is_read_once_until_another_takes_its_slot() {
        let cache = Cache::new(2);
        assert_eq!(*cache.get(3, || Ok("three")).unwrap(), "three");
        assert_eq!(*cache.get(3, || unreachable!("it is in memory")).unwrap(), "three");
        assert_eq!(*cache.get(5, || Ok("five")).unwrap(), "five");
        assert!(cache.get(3, || Err(Error::malformed("it is read again"))).is_err());
    }
}
