//! Sparse extents for tests, built from a list of grains in any layout that is read.

use imgfmt_core::Codec;
use imgfmt_core::codec::{Compression, Encoder};

/// What a grain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    /// Not stored.
    Absent,
    /// Zeros by entry 1; not stored where the layout has no flag for that.
    Zeroed,
    /// Bytes that follow from this number.
    Data(u8),
}

/// Where the grain directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before the grains.
    Front,
    /// Behind the grains, and the header says where.
    End,
    /// Behind the grains, and a footer says where.
    Footer,
}

/// A way to lay out an extent.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Sectors of a grain.
    pub(crate) grain: u64,
    /// Entries of a grain table.
    pub(crate) gtes: usize,
    /// Guest sectors.
    pub(crate) sectors: u64,
    /// What the grains are; as many as the sectors need.
    pub(crate) grains: Vec<Grain>,
    /// Whether entry 1 is a grain of zeros.
    pub(crate) zeroed: bool,
    /// Whether there is a redundant directory.
    pub(crate) redundant: bool,
    /// Whether grains are compressed.
    pub(crate) compressed: bool,
    /// Whether compressed grains have markers.
    pub(crate) markers: bool,
    /// Where the directory is.
    pub(crate) place: Place,
    /// Whether grains are stored from the last to the first.
    pub(crate) reversed: bool,
    /// Whether the last grain is stored only as far as the disk goes.
    pub(crate) short_last: bool,
    /// Whether the header rounds the capacity up to a grain.
    pub(crate) rounded: bool,
    /// Sectors of zeros behind the end.
    pub(crate) padding: usize,
    /// What the descriptor has besides its extent line.
    pub(crate) descriptor: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            grain: 8,
            gtes: 4,
            sectors: 75,
            grains: [Grain::Data(1), Grain::Absent, Grain::Data(2), Grain::Data(3)].repeat(3),
            zeroed: false,
            redundant: false,
            compressed: false,
            markers: false,
            place: Place::Front,
            reversed: false,
            short_last: false,
            rounded: false,
            padding: 0,
            descriptor: "version=1\nCID=fffffffe\nparentCID=ffffffff\n".to_owned(),
        }
    }
}

impl Layout {
    /// Guest bytes of the extent: the model that readers are compared with.
    pub(crate) fn guest(&self) -> Vec<u8> {
        let mut guest: Vec<u8> = (0..self.grain_count()).flat_map(|number| self.grain_bytes(number)).collect();
        guest.truncate(bytes(self.sectors));
        guest
    }

    /// How many grains there are.
    pub(crate) fn grain_count(&self) -> usize {
        usize::try_from(self.sectors.div_ceil(self.grain)).unwrap_or(0)
    }

    /// The bytes of a whole grain.
    fn grain_bytes(&self, number: usize) -> Vec<u8> {
        let len = bytes(self.grain);
        match self.grains[number] {
            Grain::Data(seed) => (0..len).map(|at| seed.wrapping_add((at / 5 * at / 301) as u8)).collect(),
            Grain::Absent | Grain::Zeroed => vec![0; len],
        }
    }

    /// The file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let tables = self.grain_count().div_ceil(self.gtes);
        let mut file = vec![0; 512 * (1 + DESCRIPTOR_SECTORS)];
        let text = format!("# Disk DescriptorFile\n{}RW {} SPARSE \"x.vmdk\"\n", self.descriptor, self.sectors);
        file[512..512 + text.len()].copy_from_slice(text.as_bytes());
        let spare = self.redundant.then(|| self.reserve(&mut file, tables));
        let front = (self.place == Place::Front).then(|| self.reserve(&mut file, tables));
        let entries = self.place_grains(&mut file);
        let first = front.unwrap_or_else(|| self.reserve(&mut file, tables));
        for directory in spare.into_iter().chain([first]) {
            self.fill_directory(&mut file, directory, &entries);
        }
        self.end(&mut file, spare.unwrap_or(0), first);
        file
    }

    /// Makes room for a directory and its tables; returns its sector.
    fn reserve(&self, file: &mut Vec<u8>, tables: usize) -> usize {
        let sector = file.len() / 512;
        file.resize(file.len() + 512 * ((4 * tables).div_ceil(512) + tables * self.table_sectors()), 0);
        sector
    }

    /// Sectors of a grain table.
    fn table_sectors(&self) -> usize {
        (4 * self.gtes).div_ceil(512)
    }

    /// Stores the grains; returns their entries.
    fn place_grains(&self, file: &mut Vec<u8>) -> Vec<u32> {
        let mut entries = vec![0; self.grain_count()];
        let mut order: Vec<usize> = (0..entries.len()).collect();
        if self.reversed {
            order.reverse();
        }
        for number in order {
            match self.grains[number] {
                Grain::Absent => {}
                Grain::Zeroed => entries[number] = u32::from(self.zeroed),
                Grain::Data(_) => {
                    entries[number] = to_u32(file.len() / 512);
                    let stored = self.stored(number);
                    file.extend_from_slice(&stored);
                    // Nothing but the end of the file may cut a grain that is stored plain.
                    file.resize(file.len().next_multiple_of(512), 0);
                }
            }
        }
        entries
    }

    /// A grain as it is stored.
    fn stored(&self, number: usize) -> Vec<u8> {
        let mut plain = self.grain_bytes(number);
        if self.short_last && number + 1 == self.grain_count() {
            plain.truncate(bytes(self.sectors - number as u64 * self.grain));
        }
        if !self.compressed {
            return plain;
        }
        let room = plain.len() + 100;
        let mut stream = vec![0; room];
        let compression = Compression::new(Codec::Zlib, room);
        // A grain that could not be encoded is an empty one, which no test would accept.
        let encoded = Encoder::new(&compression).and_then(|mut encoder| encoder.encode(&plain, &mut stream));
        let len = encoded.ok().flatten().unwrap_or(0);
        stream.truncate(len);
        if !self.markers {
            return stream;
        }
        let lba = number as u64 * self.grain;
        [lba.to_le_bytes().as_slice(), &to_u32(len).to_le_bytes(), &stream].concat()
    }

    /// Writes a directory and its tables.
    fn fill_directory(&self, file: &mut [u8], sector: usize, entries: &[u32]) {
        let mut table = sector + (4 * entries.len().div_ceil(self.gtes)).div_ceil(512);
        for (index, entries) in entries.chunks(self.gtes).enumerate() {
            if entries.iter().all(|&entry| entry == 0) {
                continue;
            }
            put(file, sector * 512 + 4 * index, &to_u32(table).to_le_bytes());
            for (slot, entry) in entries.iter().enumerate() {
                put(file, table * 512 + 4 * slot, &entry.to_le_bytes());
            }
            table += self.table_sectors();
        }
    }

    /// Writes the header, the footer, and what follows.
    fn end(&self, file: &mut Vec<u8>, rgd: usize, gd: usize) {
        let gd = gd as u64;
        if self.place == Place::Footer {
            file.resize(file.len().next_multiple_of(512), 0);
            let mut marker = [0; 512];
            marker[12] = 3;
            file.extend_from_slice(&marker);
            file.extend_from_slice(&self.header(rgd as u64, gd));
            put(file, 0, &self.header(rgd as u64, u64::MAX));
            file.resize(file.len() + 512 * self.padding, 0);
        } else {
            put(file, 0, &self.header(rgd as u64, gd));
        }
    }

    /// A header.
    fn header(&self, rgd: u64, gd: u64) -> [u8; 512] {
        let mut header = [0; 512];
        let flags = [(0, true), (1, self.redundant), (2, self.zeroed), (16, self.compressed), (17, self.markers)];
        let flags = flags.iter().fold(0_u32, |flags, &(bit, set)| flags | u32::from(set) << bit);
        let capacity = if self.rounded { self.sectors.next_multiple_of(self.grain) } else { self.sectors };
        put(&mut header, 0, b"KDMV\x01\0\0\0");
        put(&mut header, 8, &flags.to_le_bytes());
        put(&mut header, 12, &capacity.to_le_bytes());
        put(&mut header, 20, &self.grain.to_le_bytes());
        put(&mut header, 28, &1_u64.to_le_bytes());
        put(&mut header, 36, &(DESCRIPTOR_SECTORS as u64).to_le_bytes());
        put(&mut header, 44, &to_u32(self.gtes).to_le_bytes());
        put(&mut header, 48, &rgd.to_le_bytes());
        put(&mut header, 56, &gd.to_le_bytes());
        put(&mut header, 73, b"\n \r\n");
        put(&mut header, 77, &u16::from(self.compressed).to_le_bytes());
        header
    }
}

/// Overwrites bytes of `file` from `at` on.
pub(crate) fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A number as a field of 4 bytes.
fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Bytes of `sectors`.
fn bytes(sectors: u64) -> usize {
    usize::try_from(sectors).unwrap_or(0) * 512
}

/// Sectors of the descriptor.
const DESCRIPTOR_SECTORS: usize = 2;
