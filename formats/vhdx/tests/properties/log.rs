//! Any log: what is read is what replaying it on the file would have left.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::conformance::read_all;
use imgfmt_core::{DenyAll, Format, Limits, MemoryStorage, OpenContext, Result};
use imgfmt_vhdx::Vhdx;
use proptest::prelude::{Strategy, any, proptest};

use crate::build::{DATA_AT, File, LOG_AT, LOG_GUID, MIB, Shape, seal};
use crate::config;

/// Sectors of the log, and of a block.
const SECTORS: u64 = 256;

/// One change of a sector run in the first block: zeros where there is no byte to fill a sector with.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Sectors of the block.
    pub(crate) run: Range<u64>,
    /// What the first of them is filled with.
    pub(crate) fill: Option<u8>,
}

/// Any change.
pub(crate) fn changes() -> impl Strategy<Value = Change> {
    (0..SECTORS, 1..40u64, any::<Option<u8>>()).prop_map(|(start, len, fill)| {
        let len = if fill.is_some() { 1 } else { len };
        Change { run: start..(start + len).min(SECTORS), fill }
    })
}

/// The bytes of an entry.
pub(crate) fn entry(sequence: u64, tail: u64, changes: &[Change]) -> Vec<u8> {
    let (mut descriptors, mut sectors) = (Vec::new(), Vec::new());
    for change in changes {
        let at = DATA_AT + change.run.start * 4096;
        match change.fill {
            None => {
                descriptors.extend(b"zero\0\0\0\0");
                descriptors.extend(((change.run.end - change.run.start) * 4096).to_le_bytes());
            }
            Some(fill) => {
                descriptors.extend(b"desc");
                descriptors.extend([fill; 12]);
                sectors.extend(b"data");
                sectors.extend(((sequence >> 32) as u32).to_le_bytes());
                sectors.extend([fill; 4084]);
                sectors.extend((sequence as u32).to_le_bytes());
            }
        }
        descriptors.extend(at.to_le_bytes());
        descriptors.extend(sequence.to_le_bytes());
    }
    let front = (64 + descriptors.len()).next_multiple_of(4096);
    let mut bytes = b"loge\0\0\0\0".to_vec();
    bytes.extend(((front + sectors.len()) as u32).to_le_bytes());
    bytes.extend(((tail * 4096) as u32).to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend((changes.len() as u64).to_le_bytes());
    bytes.extend(LOG_GUID.to_bytes_le());
    bytes.extend(DATA_AT.to_le_bytes());
    bytes.extend((DATA_AT + MIB).to_le_bytes());
    bytes.extend(descriptors);
    bytes.resize(front, 0);
    bytes.extend(sectors);
    seal(&mut bytes);
    bytes
}

/// The disk of a file.
fn read(bytes: Vec<u8>) -> Result<Vec<u8>> {
    let limits = Limits::default();
    let context = OpenContext::new(&limits, &DenyAll);
    let opened = Vhdx.open(Arc::new(MemoryStorage::new(bytes)), &context)?;
    Ok(read_all(opened.image.as_ref()))
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn what_is_read_is_what_a_replay_would_leave(
        entries in proptest::collection::vec(proptest::collection::vec(changes(), 0..9), 1..8),
        first in 0..SECTORS,
        number in 1..u64::MAX - 10,
        torn in any::<Option<u16>>(),
    ) {
        let mut file = File::new(&Shape { size: MIB, block: MIB, sector: 512, parent: false });
        let host = file.append(MIB, 0x11);
        assert_eq!(host, DATA_AT);
        file.entry(0, host | 6);
        file.headers(Some(LOG_GUID));
        let mut block = vec![0x11; MIB as usize];
        let mut at = first;
        for (index, changes) in entries.iter().enumerate() {
            let mut bytes = entry(number + index as u64, first, changes);
            // The last entry may have been left half-way.
            let damaged = torn.filter(|_| index + 1 == entries.len());
            if let Some(byte) = damaged {
                let byte = usize::from(byte) % bytes.len();
                bytes[byte] ^= 0x80;
            }
            for sector in bytes.chunks(4096) {
                file.put(LOG_AT + at % SECTORS * 4096, sector);
                at += 1;
            }
            for change in changes.iter().filter(|_| damaged.is_none()) {
                block[(change.run.start * 4096) as usize..(change.run.end * 4096) as usize].fill(change.fill.unwrap_or(0));
            }
        }
        match read(file.0) {
            Ok(disk) => assert!(disk == block, "the disk is another"),
            Err(error) => assert!(torn.is_some() && entries.len() == 1, "{error}"),
        }
    }
}
