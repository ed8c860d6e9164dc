//! What was asked for last, kept in memory.

use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::Result;

/// Items by number; each has one slot that it can be in, and replaces what is there.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    /// The slots.
    slots: Box<[Mutex<Slot<T>>]>,
}

/// An item in memory, and which it is.
type Slot<T> = Option<(u64, Arc<T>)>;

impl<T> Cache<T> {
    /// A cache of nothing yet, with room for so many items of `item_len` bytes that they take about a MiB.
    pub(crate) fn new(item_len: u64) -> Self {
        let slots = (CACHE_LEN / item_len.max(1)).clamp(1, MAX_SLOTS);
        Self { slots: (0..slots).map(|_| Mutex::new(None)).collect() }
    }

    /// The item number `key`, from memory or by `read`.
    ///
    /// Two threads may read the same item at once; no lock is held meanwhile.
    pub(crate) fn get(&self, key: u64, read: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let slot = &self.slots[usize::try_from(key % self.slots.len() as u64).unwrap_or(0)];
        // What is in a slot is whole at any time, so a thread that panicked elsewhere does no harm.
        if let Some((held, item)) = &*slot.lock().unwrap_or_else(PoisonError::into_inner)
            && *held == key
        {
            return Ok(Arc::clone(item));
        }
        let item = Arc::new(read()?);
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((key, Arc::clone(&item)));
        Ok(item)
    }
}

/// Bytes that a cache takes, unless one item takes more.
const CACHE_LEN: u64 = 1 << 20;
/// Items that a cache keeps at most.
const MAX_SLOTS: u64 = 64;

#[cfg(test)]
mod tests {
    use imgfmt_core::Error;

    use super::*;

    #[test]
    fn an_item_is_read_once_until_another_takes_its_slot() {
        let cache = Cache::new(1 << 19);
        assert_eq!(cache.slots.len(), 2);
        assert_eq!(*cache.get(3, || Ok("three")).unwrap(), "three");
        assert_eq!(*cache.get(3, || unreachable!("it is in memory")).unwrap(), "three");
        assert_eq!(*cache.get(5, || Ok("five")).unwrap(), "five");
        assert!(cache.get(3, || Err(Error::malformed("it is read again"))).is_err());
        assert_eq!(*cache.get(5, || unreachable!("it is in memory")).unwrap(), "five");
    }
}
