//! Disks of any layout, put together byte by byte as the specification says.

use imgfmt_core::conformance::Noise;
use proptest::prelude::{Strategy, any, prop_oneof};

/// A disk with a table, in a layout that nobody writes and everybody may.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Guest bytes.
    pub(crate) size: usize,
    /// log2 of the bytes of a block.
    pub(crate) block_bits: u32,
    /// Whether what is not stored is a parent's.
    pub(crate) differencing: bool,
    /// Chooses which blocks and sectors are there, in which order, with which gaps, and what they hold.
    pub(crate) seed: u64,
    /// What happened to the footers.
    pub(crate) footers: Footers,
    /// Whether the last block lacks what lies beyond the disk.
    pub(crate) cut_last: bool,
}

/// What happened to the footers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Footers {
    /// Both are whole.
    Whole,
    /// The one at the end has 511 bytes.
    Short,
    /// The copy in front is damaged.
    FrontDamaged,
    /// The one at the end is damaged.
    EndDamaged,
    /// The one at the end is missing.
    EndMissing,
    /// The checksums of both are wrong.
    SumsWrong,
}

/// Layouts of disks up to 300 KB.
pub(crate) fn layouts() -> impl Strategy<Value = Layout> {
    let sizes = prop_oneof![0..600usize, 0..300_000usize, (0..600usize).prop_map(|sectors| sectors * 512)];
    let footers = proptest::sample::select(vec![
        Footers::Whole,
        Footers::Whole,
        Footers::Short,
        Footers::FrontDamaged,
        Footers::EndDamaged,
        Footers::EndMissing,
        Footers::SumsWrong,
    ]);
    (sizes, 9..18u32, any::<bool>(), any::<u64>(), footers, any::<bool>()).prop_map(
        |(size, block_bits, differencing, seed, footers, cut_last)| Layout {
            size,
            block_bits,
            differencing,
            seed: seed | 1,
            footers,
            cut_last,
        },
    )
}

impl Layout {
    /// The file, and its guest bytes where the parent has `below`.
    pub(crate) fn build(&self, parent_id: [u8; 16], below: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut noise = Noise(self.seed);
        let block = 1usize << self.block_bits;
        let blocks = self.size.div_ceil(block);
        let extra = usize::try_from(noise.below(3)).unwrap();
        let gap = |noise: &mut Noise| 512 * usize::try_from(noise.below(4)).unwrap();
        let header_at = 512 + gap(&mut noise);
        let table_at = header_at + 1024 + gap(&mut noise);
        let mut file = vec![0; (table_at + 4 * (blocks + extra)).next_multiple_of(512)];
        file[table_at..table_at + 4 * (blocks + extra)].fill(0xff);
        let mut guest = vec![0; self.size];
        if self.differencing {
            let shared = self.size.min(below.len());
            guest[..shared].copy_from_slice(&below[..shared]);
        }
        let mut order: Vec<usize> = (0..blocks).filter(|_| noise.below(3) != 0).collect();
        for index in (1..order.len()).rev() {
            order.swap(index, usize::try_from(noise.below(index as u64 + 1)).unwrap());
        }
        for index in order {
            file.resize(file.len() + gap(&mut noise), 0x11);
            let sector = u32::try_from(file.len() / 512).unwrap();
            file[table_at + 4 * index..][..4].copy_from_slice(&sector.to_be_bytes());
            let stored = self.add_block(&mut file, &mut guest, index, &mut noise);
            if self.cut_last && index + 1 == blocks {
                file.truncate(file.len() - (block - stored.next_multiple_of(512)));
            }
        }
        let header = header(table_at, blocks + extra, block, if self.differencing { parent_id } else { [0; 16] });
        file[header_at..header_at + 1024].copy_from_slice(&header);
        let disk_type = if self.differencing { 4 } else { 3 };
        self.add_footers(&mut file, &footer(disk_type, self.size as u64, header_at as u64, [0x77; 16]));
        (file, guest)
    }

    /// Appends block `index`; returns how much of it belongs to the disk.
    fn add_block(&self, file: &mut Vec<u8>, guest: &mut [u8], index: usize, noise: &mut Noise) -> usize {
        let block = 1usize << self.block_bits;
        let mut bitmap = vec![0; (block / 512).div_ceil(8).next_multiple_of(512)];
        let mut data = vec![0; block];
        noise.fill(&mut data);
        let here = &mut guest[index * block..];
        let len = here.len().min(block);
        let density = noise.below(4);
        for sector in 0..block / 512 {
            if density == 3 || noise.below(3) < density {
                bitmap[sector / 8] |= 0x80 >> (sector % 8);
                let range = (sector * 512).min(len)..(sector * 512 + 512).min(len);
                here[range.clone()].copy_from_slice(&data[range]);
            }
        }
        file.extend(bitmap);
        file.extend(data);
        len
    }

    /// Writes the footers.
    fn add_footers(&self, file: &mut Vec<u8>, footer: &[u8; 512]) {
        let mut front = *footer;
        let mut end = *footer;
        match self.footers {
            Footers::FrontDamaged => front[42] ^= 4,
            Footers::EndDamaged => end[42] ^= 4,
            Footers::SumsWrong => {
                front[65] ^= 1;
                end[65] ^= 1;
            }
            Footers::Whole | Footers::Short | Footers::EndMissing => {}
        }
        file[..512].copy_from_slice(&front);
        match self.footers {
            Footers::EndMissing => {}
            Footers::Short => file.extend(&end[..511]),
            _ => file.extend(end),
        }
    }
}

/// A footer of a disk by Windows.
pub(crate) fn footer(disk_type: u32, size: u64, data_offset: u64, id: [u8; 16]) -> [u8; 512] {
    let mut bytes = [0; 512];
    let fields: [(usize, &[u8]); 12] = [
        (0, b"conectix"),
        (8, &2_u32.to_be_bytes()),
        (12, &0x1_0000_u32.to_be_bytes()),
        (16, &data_offset.to_be_bytes()),
        (24, &700_000_000_u32.to_be_bytes()),
        (28, b"win \x00\x06\x00\x03Wi2k"),
        (40, &size.to_be_bytes()),
        (48, &size.to_be_bytes()),
        (56, &[0, 1, 4, 17]),
        (60, &disk_type.to_be_bytes()),
        (68, &id),
        (84, &[0]),
    ];
    put(&mut bytes, &fields, 64);
    bytes
}

/// A header.
fn header(table_at: usize, entries: usize, block: usize, parent_id: [u8; 16]) -> [u8; 1024] {
    let mut bytes = [0; 1024];
    let name: Vec<u8> = "base".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let fields: [(usize, &[u8]); 8] = [
        (0, b"cxsparse"),
        (8, &[0xff; 8]),
        (16, &(table_at as u64).to_be_bytes()),
        (24, &0x1_0000_u32.to_be_bytes()),
        (28, &u32::try_from(entries).unwrap().to_be_bytes()),
        (32, &u32::try_from(block).unwrap().to_be_bytes()),
        (40, &parent_id),
        (64, &name),
    ];
    put(&mut bytes, &fields, 36);
    bytes
}

/// Fills in fields, and the checksum at `sum_at`.
fn put(bytes: &mut [u8], fields: &[(usize, &[u8])], sum_at: usize) {
    for (at, field) in fields {
        bytes[*at..at + field.len()].copy_from_slice(field);
    }
    let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
    bytes[sum_at..sum_at + 4].copy_from_slice(&(!sum).to_be_bytes());
}
