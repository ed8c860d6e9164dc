//! What can be found on a disk.

use std::fmt;

/// What lies on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// Guest bytes of the disk.
    pub size: u64,
    /// The partition tables.
    pub tables: Vec<Table>,
    /// The partitions of all tables, each table in its own order.
    pub partitions: Vec<Partition>,
    /// What the disk as a whole is.
    pub signatures: Vec<Signature>,
    /// What is wrong, or worth a look.
    pub findings: Vec<Finding>,
}

impl Inside {
    /// Takes note of something about the byte `at`.
    pub(crate) fn find(&mut self, code: &'static str, severity: Severity, at: Option<u64>, what: impl Into<String>) {
        self.findings.push(Finding { code, severity, at, what: what.into() });
    }
}

/// The kind of a partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Master boot record.
    Mbr,
    /// GUID partition table.
    Gpt,
    /// Apple partition map.
    Apm,
}

impl TableKind {
    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mbr => "mbr",
            Self::Gpt => "gpt",
            Self::Apm => "apm",
        }
    }
}

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its kind.
    pub kind: TableKind,
    /// Bytes of the sectors that it counts in.
    pub sector_len: u64,
    /// The disk's identifier in it.
    pub id: Option<String>,
    /// Whether it only protects another table.
    pub protective: bool,
    /// Whether it has partitions of its own beside those of the table that it protects.
    pub hybrid: bool,
    /// What is to be said of a GUID partition table.
    pub gpt: Option<Gpt>,
}

/// The two copies of a GUID partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpt {
    /// The state of the copy at the start of the disk.
    pub primary: CopyState,
    /// The state of the copy at its end.
    pub backup: CopyState,
    /// Bytes that partitions may lie in: the first.
    pub first_usable: u64,
    /// And the one behind the last.
    pub usable_end: u64,
}

/// The state of one copy of a GUID partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// It is whole.
    Valid,
    /// Its header is damaged.
    BadHeader,
    /// Its header is whole, its entries are damaged.
    BadEntries,
    /// It is not there.
    Missing,
}

impl CopyState {
    /// The name in kebab case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::BadHeader => "bad-header",
            Self::BadEntries => "bad-entries",
            Self::Missing => "missing",
        }
    }
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The kind of table that it is in.
    pub table: TableKind,
    /// Its number, from 1 on; logical partitions have theirs from 5 on.
    pub number: u32,
    /// Its first byte.
    pub start: u64,
    /// Bytes that it has.
    pub len: u64,
    /// Its type as the table has it: two digits, a GUID, or a name.
    pub type_id: String,
    /// What that type is called.
    pub type_name: Option<&'static str>,
    /// Its own identifier.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Whether it is to be booted from.
    pub bootable: bool,
    /// The attributes of a GUID partition table.
    pub attributes: u64,
    /// Whether it is an extended partition, which only holds others.
    pub container: bool,
    /// What lies in it.
    pub signatures: Vec<Signature>,
}

impl Partition {
    /// The byte behind its last.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }
}

/// What a signature stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A file system.
    FileSystem,
    /// Memory that is paged out.
    Swap,
    /// Encryption with something else inside.
    Encryption,
    /// A part of a volume that others are cut from.
    Volume,
    /// A member of an array of disks.
    Raid,
}

impl Class {
    /// The name in kebab case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FileSystem => "file-system",
            Self::Swap => "swap",
            Self::Encryption => "encryption",
            Self::Volume => "volume",
            Self::Raid => "raid",
        }
    }
}

/// A signature that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What it is the signature of, in lower case.
    pub kind: &'static str,
    /// What that stands for.
    pub class: Class,
    /// The byte of the disk or partition at which it was found.
    pub at: u64,
    /// Its label.
    pub label: Option<String>,
    /// Its identifier, as `blkid` spells it.
    pub uuid: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Bytes of a block.
    pub block_len: Option<u64>,
    /// Bytes that it takes, as it says itself.
    pub len: Option<u64>,
}

impl Signature {
    /// A signature of `kind` at byte `at`, of which nothing more is known.
    pub(crate) fn new(kind: &'static str, class: Class, at: u64) -> Self {
        Self { kind, class, at, label: None, uuid: None, version: None, block_len: None, len: None }
    }

    /// The same with a label, where it is not empty.
    pub(crate) fn label(self, label: String) -> Self {
        Self { label: Some(label).filter(|label| !label.is_empty()), ..self }
    }

    /// The same with an identifier.
    pub(crate) fn uuid(self, uuid: Option<String>) -> Self {
        Self { uuid, ..self }
    }

    /// The same with a version.
    pub(crate) fn version(self, version: impl fmt::Display) -> Self {
        Self { version: Some(version.to_string()), ..self }
    }

    /// The same with `blocks` blocks of `block_len` bytes.
    pub(crate) fn blocks(self, block_len: u64, blocks: u64) -> Self {
        Self { block_len: Some(block_len), len: block_len.checked_mul(blocks), ..self }
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is unusual, and right.
    Info,
    /// It is wrong, and does not keep the disk from being used.
    Warning,
    /// Data is missing, or there are two answers to where it is.
    Error,
}

impl Severity {
    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that is wrong, or worth a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A name that stays, such as `gpt.backup`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The byte of the disk that it is about.
    pub at: Option<u64>,
    /// What was seen.
    pub what: String,
}
