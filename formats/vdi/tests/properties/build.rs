//! Images of any layout, put together byte by byte as the declarations say.

use imgfmt_core::conformance::Noise;

/// An image in a layout that nobody writes and everybody may.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Guest bytes.
    pub(crate) size: usize,
    /// log2 of the bytes of a block.
    pub(crate) block_bits: u32,
    /// What is in front of the data of each block.
    pub(crate) extra: usize,
    /// `u32Type`: 1 dynamic, 2 fixed, 4 differencing.
    pub(crate) kind: u32,
    /// Chooses which blocks are there, in which order, and what they hold.
    pub(crate) seed: u64,
    /// Whether map and data begin where changes of one sector change them as one.
    pub(crate) aligned: bool,
    /// Whether some blocks of the file belong to nobody.
    pub(crate) gaps: bool,
    /// Whether the file lacks what lies behind the end of the disk, where the last block is the last one in it.
    pub(crate) cut_last: bool,
}

/// `uuidCreate` of the image, and `uuidLinkage` of those on a parent.
pub(crate) const IDS: ([u8; 16], [u8; 16]) = ([0x77; 16], [0x55; 16]);

impl Layout {
    /// The file, and its guest bytes where the parent has `below`.
    pub(crate) fn build(&self, below: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut noise = Noise(self.seed | 1);
        let block = 1 << self.block_bits;
        let blocks = self.size.div_ceil(block);
        let mut some = |end: u64| usize::try_from(noise.below(end)).unwrap();
        let entries = blocks + some(3);
        let (map_at, gap) =
            if self.aligned { (472 + 4 * some(90), 512 * some(3)) } else { (472 + some(700), some(700)) };
        let mut data = map_at + entries * 4 + gap;
        if self.aligned {
            data = data.next_multiple_of(512);
        }
        let mut file = vec![0; data];
        let mut guest = vec![0; self.size];
        if self.kind == 4 {
            let shared = self.size.min(below.len());
            guest[..shared].copy_from_slice(&below[..shared]);
        }
        file[map_at..map_at + entries * 4].fill(0xff);
        let mut next = 0;
        for index in shuffled(blocks, &mut noise) {
            let here = index * block..self.size.min((index + 1) * block);
            let choice = if self.kind == 2 { 2 } else { noise.below(4) };
            let entry = match choice {
                0 => u32::MAX,
                1 => {
                    guest[here].fill(0);
                    u32::MAX - 1
                }
                _ => {
                    next += usize::from(self.gaps && noise.below(2) == 1);
                    let at = data + next * (self.extra + block) + self.extra;
                    file.resize(at + block, 0x11);
                    noise.fill(&mut file[at..]);
                    if self.cut_last && index + 1 == blocks {
                        file.truncate(at + here.len());
                    }
                    guest[here.clone()].copy_from_slice(&file[at..at + here.len()]);
                    next += 1;
                    u32::try_from(next - 1).unwrap()
                }
            };
            file[map_at + 4 * index..][..4].copy_from_slice(&entry.to_le_bytes());
        }
        for (at, value) in [
            (64, 0xbeda_107f),
            (68, 0x1_0001),
            (72, if map_at < 472 + 16 { 384 } else { 400 }),
            (76, usize::try_from(self.kind).unwrap()),
            (340, map_at),
            (344, data),
            (360, 512),
            (368, self.size),
            (376, block),
            (380, self.extra),
            (384, entries),
            (388, next),
        ] {
            file[at..at + 4].copy_from_slice(&u32::try_from(value).unwrap().to_le_bytes());
        }
        file[392..408].copy_from_slice(&IDS.0);
        if self.kind == 4 {
            file[424..440].copy_from_slice(&IDS.1);
        }
        (file, guest)
    }
}

/// The numbers of all blocks, in any order.
fn shuffled(blocks: usize, noise: &mut Noise) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks).collect();
    for index in (1..blocks).rev() {
        order.swap(index, usize::try_from(noise.below(index as u64 + 1)).unwrap());
    }
    order
}

/// A fixed image of `bytes` that is known as the parent of those here, in blocks of 512 bytes.
pub(crate) fn parent(bytes: &[u8]) -> Vec<u8> {
    let layout = Layout {
        size: bytes.len(),
        block_bits: 9,
        extra: 0,
        kind: 2,
        seed: 3,
        aligned: true,
        gaps: false,
        cut_last: false,
    };
    let (mut file, _) = layout.build(&[]);
    let number =
        |file: &[u8], at: usize| usize::try_from(u32::from_le_bytes(file[at..at + 4].try_into().unwrap())).unwrap();
    let (map_at, data) = (number(&file, 340), number(&file, 344));
    for (index, part) in bytes.chunks(512).enumerate() {
        let at = data + 512 * number(&file, map_at + 4 * index);
        file[at..at + part.len()].copy_from_slice(part);
    }
    file[392..408].copy_from_slice(&IDS.1);
    file
}
