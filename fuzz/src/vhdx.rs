//! VHDX: files of several MiB out of short inputs, with checksums that are right.
//!
//! Every structure of the format has a CRC-32C, which no fuzzer guesses, and none is nearer to the next than a MiB. So an
//! input is a list of changes to a file that is right, and the checksums are set behind them.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use imgfmt_core::conformance::{Disk, Fill};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    Backing, CreateRequest, Format, Identity, Limits, MemoryStorage, MemoryTarget, Opener, Options, ParentName,
};
use imgfmt_vhdx::Vhdx;

use crate::beside::One;
use crate::{agrees_with_itself, converts_as_it_reads};

/// The file that `bytes` make: changes to a disk.
///
/// A change is 4 bytes – which structure, an offset in it in two bytes, and a length – and the bytes themselves.
pub fn vhdx_from(bytes: &[u8]) -> Vec<u8> {
    changed(&templates()[0], bytes)
}

/// Opens the differencing disk that `bytes` make, changes to one, where every name means its parent.
pub fn open_vhdx_beside_parent(bytes: &[u8]) {
    let [parent, child] = templates();
    let gate = One(Arc::new(MemoryStorage::new(parent.as_slice())));
    let (formats, limits): ([&dyn Format; 1], _) = ([&Vhdx], Limits::default());
    let child = Arc::new(MemoryStorage::new(changed(child, bytes)));
    if let Ok(chain) = Opener::new(&formats, &gate, &limits).open(child, None, Some(Vhdx.name())) {
        agrees_with_itself(&chain);
        converts_as_it_reads(&chain, bytes.len().is_multiple_of(2));
    }
}

/// The file with the changes that `bytes` are.
fn changed(file: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let mut rest = bytes;
    while let [place, high, low, len, tail @ ..] = rest {
        let (data, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        let at = PLACES[usize::from(*place) % PLACES.len()] + usize::from(u16::from_be_bytes([*high, *low]));
        file[at..at + data.len()].copy_from_slice(data);
        rest = tail;
    }
    seal_all(&mut file);
    file
}

/// A disk, and one that builds on it; each has a log to replay.
fn templates() -> &'static [Vec<u8>; 2] {
    static FILES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    FILES.get_or_init(|| {
        let identities = vec![Identity { kind: "DataWriteGuid", value: GUID.to_owned() }];
        let name = ParentName { name: PathBuf::from("parent.vhdx"), format: Some("vhdx".to_owned()) };
        let backing = Backing { name, identities, size: 2 << 20, ..Backing::default() };
        [None, Some(&backing)].map(|backing| with_log(write(backing)))
    })
}

/// The file of a disk of two blocks, of which the first is stored.
fn write(backing: Option<&Backing>) -> Vec<u8> {
    let disk = Disk::new("template", 2 << 20, &[(0..70_000, Fill::Text)]);
    let options = Options::parse(&format!("block_size=1M,guid={GUID}")).expect("options are right");
    let target = Arc::new(MemoryTarget::new());
    let request = CreateRequest { backing, ..CreateRequest::new(2 << 20, &options) };
    let writer = Vhdx.create(target.clone(), &request).expect("it can be written");
    Convert::default().run(&disk.image(), writer).expect("it can be written");
    target.to_vec()
}

/// The file with a log that writes the first sector of the table as it is, and zeros over what no one reads.
fn with_log(mut file: Vec<u8>) -> Vec<u8> {
    let table = file[TABLE..TABLE + SECTOR].to_vec();
    let mut entry = vec![0; 2 * SECTOR];
    let mut put = |at: usize, bytes: &[u8]| entry[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"loge");
    put(8, &(2 * SECTOR as u32).to_le_bytes());
    put(16, &1u64.to_le_bytes());
    put(24, &2u32.to_le_bytes());
    put(32, &[7; 16]);
    put(48, &(4u64 << 20).to_le_bytes());
    put(56, &(file.len() as u64).to_le_bytes());
    put(64, b"desc");
    put(68, &table[SECTOR - 4..]);
    put(72, &table[..8]);
    put(80, &(TABLE as u64).to_le_bytes());
    put(88, &1u64.to_le_bytes());
    put(96, b"zero");
    put(104, &(SECTOR as u64).to_le_bytes());
    put(112, &(TABLE as u64 + (512 << 10)).to_le_bytes());
    put(120, &1u64.to_le_bytes());
    put(SECTOR, b"data");
    put(SECTOR + 8, &table[8..SECTOR - 4]);
    put(2 * SECTOR - 4, &1u32.to_le_bytes());
    file[LOG.start..LOG.start + entry.len()].copy_from_slice(&entry);
    for header in HEADERS {
        file[header + 48..header + 64].fill(7);
    }
    seal_all(&mut file);
    file
}

/// Sets the checksums of headers, region tables and log entries.
fn seal_all(file: &mut [u8]) {
    HEADERS.into_iter().for_each(|at| seal(&mut file[at..at + SECTOR]));
    TABLES.into_iter().for_each(|at| seal(&mut file[at..at + (64 << 10)]));
    for at in LOG.step_by(SECTOR) {
        let len = u32::from_le_bytes([file[at + 8], file[at + 9], file[at + 10], file[at + 11]]) as usize;
        if file[at..].starts_with(b"loge") && (64..=LOG.end - at).contains(&len) {
            seal(&mut file[at..at + len]);
        }
    }
}

/// Sets the checksum of one structure.
fn seal(structure: &mut [u8]) {
    structure[4..8].fill(0);
    let sum = crc32c::crc32c(structure);
    structure[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// The parent's identifier, and the child's.
const GUID: &str = "b5c7a4d2-50b4-4c6e-9d3b-3b1f0c9d2a11";
/// Bytes of a header, and of a sector of the log.
const SECTOR: usize = 4096;
/// Where the headers are.
const HEADERS: [usize; 2] = [64 << 10, 128 << 10];
/// Where the region tables are.
const TABLES: [usize; 2] = [192 << 10, 256 << 10];
/// Where the log is.
const LOG: Range<usize> = 1 << 20..2 << 20;
/// Where the block allocation table is.
const TABLE: usize = 3 << 20;
/// Where changes are made: each structure, its items behind the metadata table, and the first sector bitmap's entry.
const PLACES: [usize; 9] =
    [HEADERS[0], HEADERS[1], TABLES[0], TABLES[1], LOG.start, 2 << 20, (2 << 20) + (64 << 10), TABLE, TABLE + 4096 * 8];
