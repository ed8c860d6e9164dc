//! Pages of a directory that is too large to be held.

use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::Result;

/// The pages that were asked for last.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// A page goes to the slot that its number says, and replaces what is there.
    slots: [Mutex<Option<(u64, Page)>>; SLOTS as usize],
}

/// The entries of a page.
type Page = Arc<[u64]>;

impl Pages {
    /// Page number `number`, from memory or by `read`. No lock is held while it is read.
    pub(crate) fn get(&self, number: u64, read: impl FnOnce() -> Result<Box<[u64]>>) -> Result<Page> {
        let slot = &self.slots[usize::try_from(number % SLOTS).unwrap_or(0)];
        // What is in a slot is whole at any time, so a thread that panicked elsewhere does no harm.
        if let Some((held, page)) = &*slot.lock().unwrap_or_else(PoisonError::into_inner)
            && *held == number
        {
            return Ok(Arc::clone(page));
        }
        let page: Page = read()?.into();
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, Arc::clone(&page)));
        Ok(page)
    }
}

/// Pages in memory: as many as workers are likely to be in at once.
pub(crate) const SLOTS: u64 = 8;

#[cfg(test)]
mod tests {
    use imgfmt_core::Error;

    use super::*;

    #[test]
    fn a_page_is_read_once_while_it_is_in_memory() {
        let pages = Pages::default();
        assert_eq!(*pages.get(3, || Ok([1, 2].into())).unwrap(), [1, 2]);
        assert_eq!(*pages.get(3, || unreachable!("it is in memory")).unwrap(), [1, 2]);
        assert!(pages.get(3 + SLOTS, || Err(Error::malformed("it is cut"))).is_err());
        assert_eq!(*pages.get(3 + SLOTS, || Ok([5].into())).unwrap(), [5]);
        assert_eq!(*pages.get(3, || Ok([6].into())).unwrap(), [6]);
    }
}
