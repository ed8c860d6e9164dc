//! The blocks that were decoded last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use imgfmt_core::Result;

/// A few decoded blocks, the one that was used last at the end.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Vec<Slot>>);

/// A block, or the place for one that a thread is decoding.
#[derive(Clone, Debug)]
struct Slot {
    /// Which block.
    index: usize,
    /// Its bytes, once they are decoded. Whoever decodes holds the lock, so that others wait and do not do it again.
    bytes: Arc<Mutex<Option<Arc<[u8]>>>>,
}

impl Cache {
    /// The bytes of block `index`, which `decode` makes where they are not here.
    ///
    /// # Errors
    ///
    /// Those of `decode`; the next call tries again.
    pub(super) fn get(&self, index: usize, decode: impl FnOnce() -> Result<Arc<[u8]>>) -> Result<Arc<[u8]>> {
        let slot = self.slot(index);
        let mut bytes = lock(&slot.bytes);
        if let Some(bytes) = &*bytes {
            return Ok(Arc::clone(bytes));
        }
        let decoded = decode()?;
        *bytes = Some(Arc::clone(&decoded));
        drop(bytes);
        self.shrink();
        Ok(decoded)
    }

    /// Whether block `index` is here, or a thread is decoding it.
    pub(super) fn has(&self, index: usize) -> bool {
        lock(&self.0).iter().any(|slot| slot.index == index)
    }

    /// Whether a thread is decoding block `index`.
    pub(super) fn is_busy(&self, index: usize) -> bool {
        let slots = lock(&self.0);
        let slot = slots.iter().find(|slot| slot.index == index);
        slot.is_some_and(|slot| matches!(slot.bytes.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// The slot of block `index`, which becomes the last one.
    fn slot(&self, index: usize) -> Slot {
        let mut slots = lock(&self.0);
        let slot = match slots.iter().position(|slot| slot.index == index) {
            Some(at) => slots.remove(at),
            None => Slot { index, bytes: Arc::default() },
        };
        slots.push(slot.clone());
        slot
    }

    /// Drops the blocks that were not used for longest, where all together are too large. What a thread is decoding is not
    /// counted until it is done.
    fn shrink(&self) {
        let mut slots = lock(&self.0);
        let len = |slot: &Slot| match slot.bytes.try_lock() {
            Ok(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len()),
            Err(_) => 0,
        };
        let mut all: usize = slots.iter().map(len).sum();
        while slots.len() > KEPT_MIN && (all > KEPT_LEN || slots.len() > KEPT_MAX) {
            all = all.saturating_sub(len(&slots.remove(0)));
        }
    }
}

/// Locks; a panic of another thread left what is inside whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that are kept: some blocks of what `xz -T0` writes, 24 MiB each, for several threads.
const KEPT_LEN: usize = 128 << 20;
/// Blocks that are kept however large they are: a read across two of them shall not decode them again and again.
const KEPT_MIN: usize = 2;
/// Blocks that are kept however small they are, for they are searched one by one.
const KEPT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_stay_until_there_are_too_many() {
        let cache = Cache::default();
        let decoded = std::cell::Cell::new(0);
        let get = |index| {
            cache.get(index, || {
                decoded.set(decoded.get() + 1);
                Ok(vec![0; 40 << 20].into())
            })
        };
        for index in [0, 1, 2, 0, 1, 2] {
            get(index).unwrap();
        }
        assert_eq!(decoded.get(), 3);
        get(3).unwrap();
        get(2).unwrap();
        assert_eq!(decoded.get(), 4);
        get(0).unwrap();
        assert_eq!(decoded.get(), 5);
        assert!(cache.get(9, || Err(imgfmt_core::Error::malformed("broken"))).is_err());
        assert!(cache.get(9, || Ok(vec![1].into())).is_ok());
    }
}
