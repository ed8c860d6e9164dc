//! The snapshot table as it is stored: entries that are kept as they are, but for what is added and removed.

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::{Error, Limits, Medium, Result, SnapshotInfo, StorageExt};

use crate::header::Header;
use crate::layout::{ITEM_ALIGN, MAX_SNAPSHOT_EXTRA_LEN};

/// An entry of the snapshot table.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Row(Vec<u8>);

impl Row {
    /// Reads all entries of the table of the image in `medium`.
    ///
    /// # Errors
    ///
    /// What reading meets.
    pub(super) fn read_all(medium: &dyn Medium, header: &Header, limits: &Limits) -> Result<Vec<Self>> {
        let mut rows = Vec::new();
        let mut at = header.snapshots_offset;
        for _ in 0..header.nb_snapshots {
            let fixed: [u8; FIXED_LEN] = medium.read_array(at)?;
            let extra = u64::from(BigEndian::read_u32(&fixed[EXTRA_LEN_AT..]));
            Limits::check("extra_data_size", extra, MAX_SNAPSHOT_EXTRA_LEN)?;
            let texts =
                BigEndian::read_u16(&fixed[ID_LEN_AT..]) as usize + BigEndian::read_u16(&fixed[NAME_LEN_AT..]) as usize;
            let len = FIXED_LEN + usize::try_from(extra).unwrap_or(0) + texts;
            rows.push(Self(medium.read_vec(at, len)?));
            at += len.next_multiple_of(ITEM_ALIGN) as u64;
            Limits::check("snapshots_offset", at - header.snapshots_offset, limits.metadata_bytes)?;
        }
        Ok(rows)
    }

    /// The entry of a snapshot whose L1 table of `l1_size` entries is at host byte `l1_host`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for a name that is too long.
    pub(super) fn new(info: &SnapshotInfo, l1_host: u64, l1_size: usize) -> Result<Self> {
        let too_long = |_| Error::invalid("the name of a snapshot has at most 65535 bytes");
        let mut bytes = vec![0; FIXED_LEN + EXTRA_LEN];
        BigEndian::write_u64(&mut bytes[L1_AT..], l1_host);
        BigEndian::write_u32(&mut bytes[L1_SIZE_AT..], u32::try_from(l1_size).unwrap_or(u32::MAX));
        BigEndian::write_u16(&mut bytes[ID_LEN_AT..], u16::try_from(info.id.len()).map_err(too_long)?);
        BigEndian::write_u16(&mut bytes[NAME_LEN_AT..], u16::try_from(info.name.len()).map_err(too_long)?);
        BigEndian::write_u32(&mut bytes[DATE_SEC_AT..], info.date_sec);
        BigEndian::write_u32(&mut bytes[DATE_NSEC_AT..], info.date_nsec);
        BigEndian::write_u64(&mut bytes[CLOCK_AT..], info.vm_clock_nsec);
        BigEndian::write_u32(&mut bytes[EXTRA_LEN_AT..], EXTRA_LEN as u32);
        BigEndian::write_u64(&mut bytes[FIXED_LEN + 8..], info.disk_size);
        BigEndian::write_u64(&mut bytes[FIXED_LEN + 16..], info.icount.unwrap_or(u64::MAX));
        bytes.extend_from_slice(info.id.as_bytes());
        bytes.extend_from_slice(info.name.as_bytes());
        Ok(Self(bytes))
    }

    /// What the entry says; `size` is that of the disk, where it does not say it.
    pub(super) fn info(&self, size: u64) -> SnapshotInfo {
        let extra = &self.0[FIXED_LEN..FIXED_LEN + self.extra_len()];
        let field = |at: usize| extra.get(at..at + 8).map(BigEndian::read_u64);
        let small = BigEndian::read_u32(&self.0[VM_STATE_AT..]);
        SnapshotInfo {
            id: self.id(),
            name: self.name(),
            vm_state_size: field(0).unwrap_or(u64::from(small)),
            date_sec: BigEndian::read_u32(&self.0[DATE_SEC_AT..]),
            date_nsec: BigEndian::read_u32(&self.0[DATE_NSEC_AT..]),
            vm_clock_nsec: BigEndian::read_u64(&self.0[CLOCK_AT..]),
            icount: field(16).filter(|icount| *icount != u64::MAX),
            disk_size: field(8).unwrap_or(size),
        }
    }

    /// The entry as version 3 asks for it, which says how large the disk was; `size` is that of the disk, where it does not.
    pub(super) fn of_version_3(&self, size: u64) -> Self {
        let extra_len = self.extra_len();
        if extra_len >= MIN_EXTRA_LEN {
            return self.clone();
        }
        let mut bytes = self.0[..FIXED_LEN].to_vec();
        BigEndian::write_u32(&mut bytes[EXTRA_LEN_AT..], EXTRA_LEN as u32);
        for field in [self.info(size).vm_state_size, size, u64::MAX] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(&self.0[FIXED_LEN + extra_len..]);
        Self(bytes)
    }

    /// The entry as readers of version 2 know it, which look at no extra data; none where they would be misled. `size` is what the
    /// header says of the disk.
    pub(super) fn of_version_2(&self, size: u64) -> Option<Self> {
        let info = self.info(size);
        let vm_state_size = u32::try_from(info.vm_state_size).ok().filter(|_| info.disk_size == size)?;
        let mut row = self.clone();
        BigEndian::write_u32(&mut row.0[VM_STATE_AT..], vm_state_size);
        Some(row)
    }

    /// Its id.
    pub(super) fn id(&self) -> String {
        let start = FIXED_LEN + self.extra_len();
        String::from_utf8_lossy(&self.0[start..start + self.id_len()]).into_owned()
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        let start = FIXED_LEN + self.extra_len() + self.id_len();
        String::from_utf8_lossy(&self.0[start..]).into_owned()
    }

    /// Host byte and entries of its L1 table.
    pub(super) fn l1(&self) -> (u64, u64) {
        (BigEndian::read_u64(&self.0[L1_AT..]), u64::from(BigEndian::read_u32(&self.0[L1_SIZE_AT..])))
    }

    /// The bytes of a table of `rows`.
    pub(super) fn table(rows: &[Self]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for row in rows {
            bytes.extend_from_slice(&row.0);
            bytes.resize(bytes.len().next_multiple_of(ITEM_ALIGN), 0);
        }
        bytes
    }

    /// Bytes of the extra data.
    fn extra_len(&self) -> usize {
        BigEndian::read_u32(&self.0[EXTRA_LEN_AT..]) as usize
    }

    /// Bytes of the id.
    fn id_len(&self) -> usize {
        usize::from(BigEndian::read_u16(&self.0[ID_LEN_AT..]))
    }
}

/// Offset of the place of the L1 table. Specification, "Snapshots".
const L1_AT: usize = 0;
/// Offset of the entries of the L1 table.
const L1_SIZE_AT: usize = 8;
/// Offset of the length of the id.
const ID_LEN_AT: usize = 12;
/// Offset of the length of the name.
const NAME_LEN_AT: usize = 14;
/// Offset of the seconds of the date.
const DATE_SEC_AT: usize = 16;
/// Offset of the nanoseconds of the date.
const DATE_NSEC_AT: usize = 20;
/// Offset of the guest's clock.
const CLOCK_AT: usize = 24;
/// Offset of the length of the VM state.
const VM_STATE_AT: usize = 32;
/// Offset of the length of the extra data.
const EXTRA_LEN_AT: usize = 36;
/// Bytes before the extra data.
const FIXED_LEN: usize = 40;
/// Bytes of extra data that version 3 asks for at least: the length of the VM state, the size of the disk.
const MIN_EXTRA_LEN: usize = 16;
/// Bytes of extra data that are written: the length of the VM state, the size of the disk, the instruction count.
const EXTRA_LEN: usize = 24;
