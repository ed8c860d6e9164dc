//! Work that one hands out and many do.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::convert::Cancel;
use crate::{Error, ErrorKind, Result};

/// Does everything that `next` hands out with `work`, on that many threads, the caller's among them. `next` is called by one
/// thread at a time. The first error stops the rest.
///
/// # Errors
///
/// What `next` or `work` says first, and [`Cancelled`](ErrorKind::Cancelled).
pub fn run<T: Send>(
    threads: NonZeroUsize,
    cancel: &Cancel,
    next: impl FnMut() -> Result<Option<T>> + Send,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()> {
    let (next, failed, stop) = (Mutex::new(next), Mutex::new(None), AtomicBool::new(false));
    let fail = |error: Error| {
        stop.store(true, Ordering::Relaxed);
        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    };
    let on_one_thread = || {
        while !stop.load(Ordering::Relaxed) {
            if cancel.is_cancelled() {
                return fail(Error::new(ErrorKind::Cancelled, "the work was cancelled"));
            }
            let item = (next.lock().unwrap_or_else(PoisonError::into_inner))();
            match item.and_then(|item| item.map(&work).transpose()) {
                Ok(Some(())) => {}
                Ok(None) => return,
                Err(error) => return fail(error),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.get() {
            // Fewer threads than asked for is slower, not wrong.
            if std::thread::Builder::new().spawn_scoped(scope, on_one_thread).is_err() {
                break;
            }
        }
        on_one_thread();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn everything_is_done_once_and_the_first_error_stops_the_rest() {
        let threads = NonZeroUsize::new(3).unwrap();
        let sum = AtomicU64::new(0);
        let mut numbers = 0..100;
        run(
            threads,
            &Cancel::default(),
            || Ok(numbers.next()),
            |n| {
                sum.fetch_add(n, Ordering::Relaxed);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(sum.into_inner(), 4950);
        let mut endless = 0u64..;
        let failed = run(
            threads,
            &Cancel::default(),
            || Ok(endless.next()),
            |n| match n {
                50 => Err(Error::invalid("fifty")),
                _ => Ok(()),
            },
        );
        assert_eq!(failed.unwrap_err().to_string(), "fifty");
        let cancel = Cancel::default();
        cancel.cancel();
        let cancelled = run(threads, &cancel, || Ok(endless.next()), |_| Ok(()));
        assert_eq!(cancelled.unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
