//! Space within a file that nothing uses.

use std::ops::Range;

use crate::Result;
use crate::format::OpenContext;
use crate::storage::Storage;

/// A format that knows which parts of a layer's file nothing uses, and that may hold bytes of what was there once.
pub trait Vacant: Send + Sync {
    /// Calls `visit` with the host ranges that nothing uses, ascending. What they hold means nothing, and may be cleared. The
    /// layer has to be one in which a [`Check`](crate::Check) finds nothing.
    ///
    /// # Errors
    ///
    /// As [`Format::open`](crate::Format::open), and what `visit` returns.
    fn vacant(
        &self,
        storage: &dyn Storage,
        context: &OpenContext<'_>,
        visit: &mut dyn FnMut(Range<u64>) -> Result<()>,
    ) -> Result<()>;
}
