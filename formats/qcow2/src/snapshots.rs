//! The snapshot table. Its entries follow one another, each as long as its strings make it.
//!
//! | Offset | Size | Field | Rule |
//! |-------:|-----:|---|---|
//! |  0 | 8 | L1 table offset | |
//! |  8 | 4 | L1 size | |
//! | 12 | 2 | length of the id | |
//! | 14 | 2 | length of the name | |
//! | 16 | 4 | seconds since 1970 | |
//! | 20 | 4 | nanoseconds of it | |
//! | 24 | 8 | nanoseconds that the guest ran | |
//! | 32 | 4 | bytes of VM state | |
//! | 36 | 4 | length of the extra data | at most 1024 |
//! | 40 | – | extra data: bytes of VM state (8), virtual size (8), icount (8) | each may be missing |
//! |  – | – | id, name, padding to a multiple of 8 | |

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};
use serde_json::{Value, json};

use crate::header::Header;
use crate::layout::{
    ITEM_ALIGN, L1_TABLE_OFFSET_AT, MAX_L1_LEN, MAX_SNAPSHOT_EXTRA_LEN, SNAPSHOTS_OFFSET_AT, TABLE_ENTRY_LEN,
};
use crate::tables::Table;
use imgfmt_core::fields::{Fields, Place};

/// An internal snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Host byte of its entry in the snapshot table.
    at: u64,
    /// Host byte of its L1 table.
    l1_table_offset: u64,
    /// Entries of its L1 table.
    l1_size: u32,
    /// Its id, which need not be a number.
    id: String,
    /// Its name.
    name: String,
    /// When it was made, in seconds since 1970.
    date_sec: u32,
    /// Nanoseconds of that.
    date_nsec: u32,
    /// For how many nanoseconds the guest had run.
    vm_clock_nsec: u64,
    /// Bytes of VM state.
    vm_state_size: u64,
    /// Guest bytes of the disk, where the entry says so.
    virtual_size: Option<u64>,
    /// Instructions that the guest had executed, where they were counted.
    icount: Option<u64>,
}

impl Snapshot {
    /// Reads all entries of the snapshot table.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where an entry passes the end of the file,
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) for too many bytes of them.
    pub(crate) fn read_all(storage: &dyn Storage, header: &Header, limits: &Limits) -> Result<Vec<Self>> {
        let place = Place::in_header("snapshots_offset", SNAPSHOTS_OFFSET_AT);
        let mut list = Vec::new();
        let mut at = header.snapshots_offset;
        for _ in 0..header.nb_snapshots {
            let (snapshot, len) = Self::read(storage, at)?;
            list.push(snapshot);
            at += len;
            place.limited(at - header.snapshots_offset, limits.metadata_bytes)?;
        }
        Ok(list)
    }

    /// Reads the entry at host byte `at`; returns it and its length with the padding.
    fn read(storage: &dyn Storage, at: u64) -> Result<(Self, u64)> {
        let fixed: [u8; FIXED_LEN] = storage.read_array(at).map_err(named)?;
        let fixed = Fields::new(&fixed, at);
        let extra_len = fixed.u32(EXTRA_LEN_AT)?;
        Limits::check("extra_data_size", u64::from(extra_len), MAX_SNAPSHOT_EXTRA_LEN)
            .map_err(|e| e.at(fixed.host(EXTRA_LEN_AT)))?;
        let len =
            FIXED_LEN + extra_len as usize + usize::from(fixed.u16(ID_LEN_AT)?) + usize::from(fixed.u16(NAME_LEN_AT)?);
        let bytes = storage.read_vec(at, len).map_err(named)?;
        Ok((Self::parse(&Fields::new(&bytes, at))?, len.next_multiple_of(ITEM_ALIGN) as u64))
    }

    /// Parses an entry.
    fn parse(entry: &Fields<'_>) -> Result<Self> {
        let extra_len = entry.u32(EXTRA_LEN_AT)? as usize;
        let extra = Fields::new(entry.bytes(FIXED_LEN, extra_len)?, entry.host(FIXED_LEN));
        let id_at = FIXED_LEN + extra_len;
        let id_len = usize::from(entry.u16(ID_LEN_AT)?);
        let text = |at, len| Ok::<_, Error>(String::from_utf8_lossy(entry.bytes(at, len)?).into_owned());
        Ok(Self {
            at: entry.host(0),
            l1_table_offset: entry.u64(L1_TABLE_AT)?,
            l1_size: entry.u32(SNAPSHOT_L1_SIZE_AT)?,
            id: text(id_at, id_len)?,
            name: text(id_at + id_len, usize::from(entry.u16(NAME_LEN_AT)?))?,
            date_sec: entry.u32(DATE_SEC_AT)?,
            date_nsec: entry.u32(DATE_NSEC_AT)?,
            vm_clock_nsec: entry.u64(VM_CLOCK_AT)?,
            // The field in the extra data counts where it is there.
            vm_state_size: extra.u64(EXTRA_VM_STATE_AT).or_else(|_| entry.u32(VM_STATE_AT).map(u64::from))?,
            virtual_size: extra.u64(EXTRA_SIZE_AT).ok(),
            icount: extra.u64(EXTRA_ICOUNT_AT).ok().filter(|&icount| icount != u64::MAX),
        })
    }

    /// What is to be said about it; `size` is that of the disk, where the entry does not say it.
    pub(crate) fn to_info(&self, size: u64) -> imgfmt_core::SnapshotInfo {
        imgfmt_core::SnapshotInfo {
            id: self.id.clone(),
            name: self.name.clone(),
            vm_state_size: self.vm_state_size,
            date_sec: self.date_sec,
            date_nsec: self.date_nsec,
            vm_clock_nsec: self.vm_clock_nsec,
            icount: self.icount,
            disk_size: self.virtual_size.unwrap_or(size),
        }
    }

    /// The snapshot under the names that QEMU uses.
    pub(crate) fn to_json(&self) -> Value {
        let mut value = json!({
            "id": self.id,
            "name": self.name,
            "vm-state-size": self.vm_state_size,
            "date-sec": self.date_sec,
            "date-nsec": self.date_nsec,
            "vm-clock-sec": self.vm_clock_nsec / 1_000_000_000,
            "vm-clock-nsec": self.vm_clock_nsec % 1_000_000_000,
        });
        if let Some(icount) = self.icount {
            value["icount"] = json!(icount);
        }
        if let Some(size) = self.virtual_size {
            value["virtual-size"] = json!(size);
        }
        value
    }
}

/// A state of the disk: the active one, or a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    /// Guest bytes.
    pub(crate) size: u64,
    /// The L1 table, which covers them.
    pub(crate) l1: Table,
}

impl State {
    /// The snapshot with the id `wanted`, or else with that name; the active state where none is wanted.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where there is no such snapshot, with those that there are;
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) or [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) for an
    /// L1 table that does not cover the disk or that the file does not have.
    pub(crate) fn choose(header: &Header, snapshots: &[Snapshot], wanted: Option<&str>, file_len: u64) -> Result<Self> {
        let Some(wanted) = wanted else {
            let l1 = Table::new(header.l1_table_offset, u64::from(header.l1_size), file_len)
                .map_err(|e| Place::in_header("l1_table_offset", L1_TABLE_OFFSET_AT).tell(e))?;
            return Ok(Self { size: header.size, l1 });
        };
        let found = snapshots.iter().find(|snapshot| snapshot.id == wanted);
        let found = found.or_else(|| snapshots.iter().find(|snapshot| snapshot.name == wanted));
        found.ok_or_else(|| unknown(wanted, snapshots))?.state(header, file_len)
    }
}

impl Snapshot {
    /// The state of the disk that it holds. An entry of version 2 does not say how large the disk was: as large as now.
    fn state(&self, header: &Header, file_len: u64) -> Result<State> {
        let place = |name, at: usize| Place { name, at: self.at + at as u64 };
        let size = self.virtual_size.unwrap_or(header.size);
        let size_place = place("virtual disk size", FIXED_LEN + EXTRA_SIZE_AT);
        size_place.limited(size, i64::MAX as u64)?;
        let (l1_place, len_place) = (place("L1 table offset", L1_TABLE_AT), place("L1 size", SNAPSHOT_L1_SIZE_AT));
        len_place.limited(u64::from(self.l1_size), MAX_L1_LEN / TABLE_ENTRY_LEN)?;
        let needed = size.div_ceil(1 << header.l2.span_bits());
        if u64::from(self.l1_size) < needed {
            let what = format!("is {}, but a disk of {size} bytes needs {needed} entries", self.l1_size);
            return Err(len_place.malformed(what));
        }
        if !header.cluster.aligns(self.l1_table_offset) || (self.l1_table_offset == 0 && needed > 0) {
            let what = format!("is {}, which is no cluster behind the header", self.l1_table_offset);
            return Err(l1_place.malformed(what));
        }
        let l1 = Table::new(self.l1_table_offset, u64::from(self.l1_size), file_len).map_err(|e| l1_place.tell(e))?;
        Ok(State { size, l1 })
    }
}

/// An error that says which snapshots there are.
fn unknown(wanted: &str, snapshots: &[Snapshot]) -> Error {
    let known: Vec<_> =
        snapshots.iter().take(MAX_NAMED).map(|snapshot| format!("{} ({})", snapshot.id, snapshot.name)).collect();
    let known = if known.is_empty() { "no snapshots".to_owned() } else { known.join(", ") };
    let more = if snapshots.len() > MAX_NAMED { ", and more" } else { "" };
    Error::invalid(format!("there is no snapshot with the id or name {wanted}; the image has {known}{more}"))
}

/// An error about where the snapshot table is.
fn named(error: Error) -> Error {
    error.context("the snapshot table cannot be read")
}

/// Offset of the place of the L1 table.
const L1_TABLE_AT: usize = 0;
/// Offset of the entries of the L1 table.
const SNAPSHOT_L1_SIZE_AT: usize = 8;
/// Offset of the length of the id.
const ID_LEN_AT: usize = 12;
/// Offset of the length of the name.
const NAME_LEN_AT: usize = 14;
/// Offset of the seconds of the date.
const DATE_SEC_AT: usize = 16;
/// Offset of the nanoseconds of the date.
const DATE_NSEC_AT: usize = 20;
/// Offset of the guest's clock.
const VM_CLOCK_AT: usize = 24;
/// Offset of the length of the VM state.
const VM_STATE_AT: usize = 32;
/// Offset of the length of the extra data.
const EXTRA_LEN_AT: usize = 36;
/// Length of what comes before the extra data.
const FIXED_LEN: usize = 40;
/// Offset of the length of the VM state in the extra data.
const EXTRA_VM_STATE_AT: usize = 0;
/// Offset of the virtual size in the extra data.
const EXTRA_SIZE_AT: usize = 8;
/// Offset of the instruction count in the extra data.
const EXTRA_ICOUNT_AT: usize = 16;

/// Snapshots that an error names at most.
const MAX_NAMED: usize = 20;

#[cfg(test)]
mod tests {
    use imgfmt_core::{ErrorKind, MemoryStorage};

    use super::*;

    /// An entry with the given extra data, id and name.
    fn entry(extra: &[u64], id: &str, name: &str) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        bytes.extend_from_slice(&1u32.to_be_bytes());
        bytes.extend([id.len(), name.len()].iter().flat_map(|&len| u16::try_from(len).unwrap().to_be_bytes()));
        bytes.extend([1_700_000_000u32, 5].iter().flat_map(|value| value.to_be_bytes()));
        bytes.extend_from_slice(&1_500_000_000u64.to_be_bytes());
        bytes.extend([7, u32::try_from(extra.len() * 8).unwrap()].iter().flat_map(|value| value.to_be_bytes()));
        bytes.extend(extra.iter().flat_map(|value| value.to_be_bytes()));
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(ITEM_ALIGN), 0);
        bytes
    }

    #[test]
    fn the_extra_data_counts_where_it_is_there() {
        let bytes = [entry(&[], "1", "old"), entry(&[9, 4096, u64::MAX], "2", "new")].concat();
        let storage = MemoryStorage::new(bytes);
        let (old, len) = Snapshot::read(&storage, 0).unwrap();
        assert_eq!((old.vm_state_size, old.virtual_size, old.icount), (7, None, None));
        let (new, _) = Snapshot::read(&storage, len).unwrap();
        assert_eq!((new.vm_state_size, new.virtual_size, new.icount), (9, Some(4096), None));
        let json = new.to_json();
        assert_eq!((&json["id"], &json["name"]), (&json!("2"), &json!("new")));
        assert_eq!((&json["vm-clock-sec"], &json["vm-clock-nsec"]), (&json!(1), &json!(500_000_000)));
    }

    #[test]
    fn a_cut_entry_and_a_huge_one_are_errors() {
        let whole = entry(&[9], "1", "name of it");
        for len in 0..58 {
            let cut = MemoryStorage::new(&whole[..len]);
            assert_eq!(Snapshot::read(&cut, 0).unwrap_err().kind(), ErrorKind::OutOfBounds, "{len}");
        }
        let mut huge = whole;
        huge[EXTRA_LEN_AT..EXTRA_LEN_AT + 4].copy_from_slice(&1025u32.to_be_bytes());
        let error = Snapshot::read(&MemoryStorage::new(huge), 0).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::LimitExceeded, Some(36)));
    }
}
