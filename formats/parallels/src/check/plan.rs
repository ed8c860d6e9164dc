//! What is wrong with an image, and what of that is to be mended.

use imgfmt_core::{CheckStats, Finding, Severity};

use crate::header::{Header, entry_at};

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
    /// Entries that are to be mended.
    pub(super) wrong: Vec<Wrong>,
    /// The `data_off` that is to be written.
    pub(super) data_offset: Option<u32>,
    /// Where the last cluster ends, once the file is long enough for the one that was cut.
    pub(super) end: u64,
    /// Whether the file is to end there.
    pub(super) cuts_file: bool,
    /// Whether `in_use` is to say that the image is closed.
    pub(super) closes: bool,
}

/// An entry that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Whose entry it is.
    pub(super) index: u64,
    /// The byte to which it leads.
    pub(super) host: u64,
    /// What is wrong with it.
    pub(super) fault: Fault,
}

/// What can be wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It leads into the header or the BAT.
    InBat,
    /// The file ends before the cluster begins.
    Outside,
    /// The file ends within the cluster.
    Cut,
    /// Another cluster begins there, too.
    Twice,
    /// Another cluster begins before, and has not ended.
    Overlaps,
}

impl Wrong {
    /// What is told of it, in a file of `len` bytes.
    pub(super) fn finding(self, header: &Header, len: u64) -> Finding {
        let Self { index, host, fault } = self;
        let (id, what) = match fault {
            Fault::InBat => {
                let end = header.bat_end();
                (
                    "parallels-cluster-in-bat",
                    format!("cluster {index} is at byte {host}, but the BAT ends at byte {end}"),
                )
            }
            Fault::Outside | Fault::Cut => {
                let end = host.saturating_add(header.stored_len(index).max(1));
                ("parallels-cluster-outside", format!("cluster {index} ends at byte {end}, but the file at byte {len}"))
            }
            Fault::Twice | Fault::Overlaps => {
                ("parallels-cluster-twice", format!("cluster {index} is stored at byte {host}, where another one is"))
            }
        };
        let finding = Finding::new(id, Severity::Corruption, what).at(entry_at(index));
        if index < header.disk_clusters() { finding.guest(index * header.cluster_len()) } else { finding }
    }
}
