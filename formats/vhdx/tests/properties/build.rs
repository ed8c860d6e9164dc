//! A small builder of VHDX files, written from the specification and apart from the code that is tested.

use uuid::{Uuid, uuid};

/// One MiB.
pub(crate) const MIB: u64 = 1 << 20;
/// Where the log is, which has 1 MiB.
pub(crate) const LOG_AT: u64 = MIB;
/// Where the metadata is.
const METADATA_AT: u64 = 2 * MIB;
/// Where the block allocation table is, which has 1 MiB.
const BAT_AT: u64 = 3 * MIB;
/// Where blocks begin.
pub(crate) const DATA_AT: u64 = 4 * MIB;
/// The identifier of the log.
pub(crate) const LOG_GUID: Uuid = uuid!("10000000-aaaa-4bbb-8ccc-0123456789ab");

/// A file in the making.
pub(crate) struct File(pub(crate) Vec<u8>);

/// What the disk is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Guest bytes.
    pub(crate) size: u64,
    /// Bytes of a block.
    pub(crate) block: u64,
    /// Bytes of a sector.
    pub(crate) sector: u64,
    /// Whether there is a parent.
    pub(crate) parent: bool,
}

impl File {
    /// A file with everything but blocks.
    pub(crate) fn new(shape: &Shape) -> Self {
        let mut file = Self(vec![0; DATA_AT as usize]);
        file.put(0, b"vhdxfile");
        file.headers(None);
        let regions = [
            (uuid!("2dc27766-f623-4200-9d64-115e9bfd4a08"), BAT_AT),
            (uuid!("8b7ca206-4790-4b9a-b8fe-575f050f886e"), METADATA_AT),
        ];
        let mut table = b"regi\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec();
        for (guid, at) in regions {
            table.extend(guid.to_bytes_le());
            table.extend(at.to_le_bytes());
            table.extend((MIB as u32).to_le_bytes());
            table.extend(1u32.to_le_bytes());
        }
        table.resize(64 << 10, 0);
        seal(&mut table);
        file.put(192 << 10, &table);
        file.put(256 << 10, &table);
        file.metadata(shape);
        file
    }

    /// Writes both headers, which name the log if `log` does.
    pub(crate) fn headers(&mut self, log: Option<Uuid>) {
        for (number, at) in [(1u64, 64 << 10), (2, 128 << 10)] {
            let mut header = vec![0; 4096];
            header[..4].copy_from_slice(b"head");
            header[8..16].copy_from_slice(&number.to_le_bytes());
            header[48..64].copy_from_slice(&log.unwrap_or(Uuid::nil()).to_bytes_le());
            header[66] = 1;
            header[68..72].copy_from_slice(&(MIB as u32).to_le_bytes());
            header[72..80].copy_from_slice(&LOG_AT.to_le_bytes());
            seal(&mut header);
            self.put(at, &header);
        }
    }

    /// Writes the metadata table and its items.
    fn metadata(&mut self, shape: &Shape) {
        let parameters = [(shape.block as u32).to_le_bytes(), (u32::from(shape.parent) * 2).to_le_bytes()].concat();
        let mut items = vec![
            (uuid!("8141bf1d-a96f-4709-ba47-f233a8faab5f"), (shape.sector as u32).to_le_bytes().to_vec()),
            (uuid!("caa16737-fa36-4d43-b3b6-33f0aa44e76b"), parameters),
            (uuid!("2fa54224-cd1b-4876-b211-5dbed83bf4b8"), shape.size.to_le_bytes().to_vec()),
        ];
        if shape.parent {
            items.push((uuid!("a8d35f2d-b30b-454d-abf7-d3d84834ab0c"), locator()));
        }
        let mut table = b"metadata\0\0".to_vec();
        table.extend((items.len() as u16).to_le_bytes());
        table.resize(32, 0);
        let mut at = 64 << 10;
        for (guid, item) in items {
            table.extend(guid.to_bytes_le());
            for field in [at, item.len() as u32, 4, 0] {
                table.extend(field.to_le_bytes());
            }
            self.put(METADATA_AT + u64::from(at), &item);
            at += item.len() as u32;
        }
        self.put(METADATA_AT, &table);
    }

    /// Writes bytes, making the file longer where they pass its end.
    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) {
        let end = at as usize + bytes.len();
        if self.0.len() < end {
            self.0.resize(end, 0);
        }
        self.0[at as usize..end].copy_from_slice(bytes);
    }

    /// Writes an entry of the block allocation table.
    pub(crate) fn entry(&mut self, index: u64, entry: u64) {
        self.put(BAT_AT + index * 8, &entry.to_le_bytes());
    }

    /// Appends `len` bytes, all `fill`, at whole MiB, and says where.
    pub(crate) fn append(&mut self, len: u64, fill: u8) -> u64 {
        let at = (self.0.len() as u64).next_multiple_of(MIB);
        self.0.resize(at as usize, 0);
        self.0.resize((at + len) as usize, fill);
        at
    }
}

/// A parent locator that names only which file it is.
fn locator() -> Vec<u8> {
    let mut item = uuid!("b04aefb7-d19e-4a81-b789-25b8e9445913").to_bytes_le().to_vec();
    let [key, value] = ["parent_linkage", "{10000000-aaaa-4bbb-8ccc-0123456789ab}"]
        .map(|text| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    item.extend([0, 0, 1, 0]);
    item.extend(32u32.to_le_bytes());
    item.extend((32 + key.len() as u32).to_le_bytes());
    item.extend((key.len() as u16).to_le_bytes());
    item.extend((value.len() as u16).to_le_bytes());
    item.extend(key);
    item.extend(value);
    item
}

/// Writes the checksum of a structure at its byte 4.
pub(crate) fn seal(bytes: &mut [u8]) {
    bytes[4..8].fill(0);
    let sum = crc32c::crc32c(bytes);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
}
