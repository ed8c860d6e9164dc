//! Looking for damage in an image, and mending it.

mod deep;
mod finding;
mod walk;

use std::sync::Arc;

pub use deep::deep;
pub use finding::{Finding, Findings, MAX_KEPT, Severity};
pub use walk::walk;

use crate::Result;
use crate::format::OpenContext;
use crate::medium::Medium;
use crate::storage::Storage;

/// A format whose images can be looked at for damage.
pub trait Check: Send + Sync {
    /// Looks at the whole of the layer's metadata and tells `findings` of everything that breaks a rule. Guest data is
    /// not read, and no parent is opened. Damage is no error: the check goes on behind it as far as it can.
    ///
    /// # Errors
    ///
    /// Where the file is too damaged for anything to be said about the rest, as without a header; what cannot be read
    /// for want of memory or by the operating system's fault.
    fn check(
        &self,
        storage: Arc<dyn Storage>,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats>;

    /// Mends what `repair` allows, and tells `findings` of everything, with what was mended marked
    /// [`fixed`](Finding::fixed): where nothing is, nothing was written.
    ///
    /// Never makes worse: no guest byte that could be read before is lost, and cut at any write, as long as the writes
    /// before a [`sync`](crate::Target::sync) that succeeded are kept, a second repair succeeds.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check); [`Invalid`](crate::ErrorKind::Invalid) where the format can mend nothing.
    fn repair(
        &self,
        medium: Arc<dyn Medium>,
        repair: Repair,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats>;

    /// The most that [`repair`](Self::repair) can do; `None` where nothing can be mended.
    fn repairs(&self) -> Option<Repair>;
}

/// How much may be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// Space that nothing uses is given back, and what only follows from the rest is made to; nothing else changes.
    Leaks,
    /// Everything that can be mended, by what is most likely meant.
    All,
}

impl Repair {
    /// The word for it, as on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Leaks => "leaks",
            Self::All => "all",
        }
    }
}

/// What was counted on the way. Zero, or `None`, where the format does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckStats {
    /// Units that the disk has room for.
    pub total_units: u64,
    /// Units that are stored.
    pub allocated_units: u64,
    /// Stored units that do not lie behind the one before them.
    pub fragmented_units: u64,
    /// Units that are stored compressed.
    pub compressed_units: u64,
    /// The host byte after the last that is in use.
    pub image_end: Option<u64>,
}
