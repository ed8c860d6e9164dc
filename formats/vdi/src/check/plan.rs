//! What is wrong with an image, and what of that is to be mended.

use imgfmt_core::{CheckStats, Finding, Severity};

use crate::header::Header;
use crate::used::Used;

/// What a look at an image has shown.
#[derive(Default)]
pub(super) struct Looked {
    /// What was counted.
    pub(super) stats: CheckStats,
    /// What is to be mended, where anything is.
    pub(super) plan: Option<Plan>,
}

/// What is to be mended.
pub(super) struct Plan {
    /// The header.
    pub(super) header: Header,
    /// The blocks that entries name, and that are there, if only in part.
    pub(super) used: Used,
    /// Entries whose block is missing, or is another entry's.
    pub(super) wrong: Vec<Wrong>,
    /// Whether those are to be mended.
    pub(super) mends_entries: bool,
    /// Whether the count of blocks is to be made large enough.
    pub(super) mends_count: bool,
    /// Whether gaps between blocks are to be closed.
    pub(super) compacts: bool,
}

/// An entry that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Whose entry it is.
    pub(super) index: u64,
    /// The block of the file that it names.
    pub(super) block: u64,
    /// What is wrong with it.
    pub(super) fault: Fault,
}

/// What can be wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The file ends before the block begins.
    Outside,
    /// The file ends within the block.
    Cut,
    /// Another entry names the block, too.
    Twice,
}

impl Wrong {
    /// What is told of it, at byte `at`.
    pub(super) fn finding(self, header: &Header, len: u64, at: u64) -> Finding {
        let Self { index, block, fault } = self;
        let (id, what) = match fault {
            Fault::Outside | Fault::Cut => {
                let end = header.block_at(block).saturating_add(header.block_extra);
                let end = end.saturating_add(header.stored_len(index));
                ("vdi-block-outside", format!("block {index} ends at byte {end}, but the file at byte {len}"))
            }
            Fault::Twice => {
                ("vdi-block-twice", format!("block {index} is stored where another one is, in block {block}"))
            }
        };
        Finding::new(id, Severity::Corruption, what).at(at).guest(index * header.block_len)
    }
}
