//! Sparse extents in any layout: written from VMware's "Virtual Disk Format 5.0" alone; nothing is shared with the crate.

use imgfmt_core::Codec;
use imgfmt_core::codec::{Compression, Encoder};
use imgfmt_core::conformance::Noise;

use crate::plan::{Kind, Place, Plan, SECTOR};

/// A file, and the bytes of its layer: `None` where they are the parent's.
pub(crate) struct Built {
    /// The file.
    pub(crate) file: Vec<u8>,
    /// The disk.
    pub(crate) bytes: Vec<Option<u8>>,
}

/// Where directories and grains are, in sectors.
struct Places {
    /// The grain directory.
    gd: usize,
    /// The redundant one.
    rgd: usize,
    /// The entry of each grain.
    entries: Vec<usize>,
}

impl Plan {
    /// Builds the extent, with this descriptor in it, or none where it is empty.
    pub(crate) fn build(&self, descriptor: &str) -> Built {
        let mut noise = Noise(self.seed | 1);
        let contents = self.contents(&mut noise);
        let mut file = vec![0; SECTOR];
        file.extend(descriptor.as_bytes());
        pad(&mut file, 1);
        let descriptor_len = file.len() / SECTOR - 1;
        // A grain at sector 1 would look like a grain of zeros.
        file.extend([0xcc; SECTOR]);
        let mut places = Places { gd: 0, rgd: 0, entries: vec![0; self.kinds.len()] };
        if self.place == Place::Front {
            self.reserve(&mut file, &mut places);
        }
        self.put_grains(&mut file, &contents, &mut places, &mut noise);
        if self.place != Place::Front {
            self.reserve(&mut file, &mut places);
        }
        self.put_directories(&mut file, &places);
        if self.place == Place::Footer {
            self.marker(&mut file, 1, 3);
            file.extend(self.header(descriptor_len, &places, false));
            self.marker(&mut file, 0, 0);
        }
        if !self.short_last || self.place != Place::Behind {
            file.extend(vec![0; self.padding * SECTOR]);
        }
        let header = self.header(descriptor_len, &places, self.place == Place::Footer);
        file[..SECTOR].copy_from_slice(&header);
        Built { file, bytes: self.bytes(&contents) }
    }

    /// Leaves room for the directories and their tables.
    fn reserve(&self, file: &mut Vec<u8>, places: &mut Places) {
        if self.redundant.is_some() {
            places.rgd = self.reserve_one(file);
        }
        places.gd = self.reserve_one(file);
    }

    /// Leaves room for one directory and its tables, and returns its sector.
    fn reserve_one(&self, file: &mut Vec<u8>) -> usize {
        if self.place != Place::Front {
            self.marker(file, self.directory_sectors(), 2);
        }
        let at = file.len() / SECTOR;
        file.resize(file.len() + (self.directory_sectors() + self.tables() * self.table_sectors()) * SECTOR, 0);
        at
    }

    /// How many grain tables there are.
    fn tables(&self) -> usize {
        self.kinds.len().div_ceil(self.gtes)
    }

    /// Sectors of the directory.
    fn directory_sectors(&self) -> usize {
        (self.tables() * 4).div_ceil(SECTOR)
    }

    /// Sectors of a table.
    fn table_sectors(&self) -> usize {
        (self.gtes * 4).div_ceil(SECTOR)
    }

    /// Stores the grains, in order or not, with gaps here and there.
    fn put_grains(&self, file: &mut Vec<u8>, contents: &[Vec<u8>], places: &mut Places, noise: &mut Noise) {
        let mut order: Vec<usize> = (0..contents.len()).filter(|&number| !contents[number].is_empty()).collect();
        if self.shuffled {
            for last in (1..order.len()).rev() {
                order.swap(last, below(noise, last + 1));
            }
        }
        if self.compressed.is_none() && self.place == Place::Front {
            pad(file, self.grain);
        }
        for (number, &grain) in order.iter().enumerate() {
            places.entries[grain] = file.len() / SECTOR;
            let last_in_file = number + 1 == order.len();
            let ends_at = self.size() - grain * self.grain_len();
            let content = &contents[grain];
            let short = self.short_last && ends_at < content.len();
            match self.compressed {
                None if short && last_in_file => file.extend(&content[..ends_at]),
                None => file.extend(content),
                Some(markers) => {
                    let stream = zlib(if short { &content[..ends_at] } else { content });
                    if markers {
                        file.extend(((grain * self.grain) as u64).to_le_bytes());
                        file.extend(u32::try_from(stream.len()).unwrap().to_le_bytes());
                    }
                    file.extend(stream);
                    pad(file, 1);
                }
            }
            let gap = [0, 0, 0, 1, 3][below(noise, 5)];
            file.extend(vec![0xcc; gap * SECTOR]);
        }
        // Behind a grain that is cut, nothing follows but what has a place of its own.
        pad(file, 1);
    }

    /// Writes the directories and tables where there is room for them.
    fn put_directories(&self, file: &mut [u8], places: &Places) {
        if let Some(lost) = self.redundant {
            self.put_directory(file, places.rgd, &places.entries);
            if lost {
                // The first directory points anywhere; the redundant one has to do.
                let end = (places.gd + self.directory_sectors()) * SECTOR;
                file[places.gd * SECTOR..end].fill(0xff);
                return;
            }
        }
        self.put_directory(file, places.gd, &places.entries);
    }

    /// Writes one directory and its tables; a table without entries is left out now and then.
    fn put_directory(&self, file: &mut [u8], at: usize, entries: &[usize]) {
        for (number, grains) in self.kinds.chunks(self.gtes).enumerate() {
            let idle = grains.iter().all(|&kind| kind == Kind::Absent || (kind == Kind::Zeroed && !self.zeroed));
            if idle && number % 2 == 0 && self.redundant != Some(true) {
                continue;
            }
            let table = at + self.directory_sectors() + number * self.table_sectors();
            put_entry(file, at * SECTOR + number * 4, table);
            for (slot, &kind) in grains.iter().enumerate() {
                let entry = match kind {
                    Kind::Zeroed if self.zeroed => 1,
                    _ => entries[number * self.gtes + slot],
                };
                put_entry(file, table * SECTOR + slot * 4, entry);
            }
        }
    }

    /// Appends a marker for `sectors` of metadata of a kind, where there are markers.
    fn marker(&self, file: &mut Vec<u8>, sectors: usize, kind: u32) {
        if self.markers() {
            file.extend((sectors as u64).to_le_bytes());
            file.extend(0u32.to_le_bytes());
            file.extend(kind.to_le_bytes());
            pad(file, 1);
        }
    }

    /// The header or the footer.
    fn header(&self, descriptor_len: usize, places: &Places, leave_to_footer: bool) -> Vec<u8> {
        let flags = u32::from(self.newlines)
            | u32::from(self.redundant.is_some()) << 1
            | u32::from(self.zeroed) << 2
            | u32::from(self.compressed.is_some()) << 16
            | u32::from(self.markers()) << 17;
        let gd = if leave_to_footer { u64::MAX } else { places.gd as u64 };
        let descriptor_at = u64::from(descriptor_len > 0);
        let mut header = b"KDMV".to_vec();
        header.extend([self.version, flags].map(u32::to_le_bytes).as_flattened());
        let sizes = [self.sectors as u64, self.grain as u64, descriptor_at, descriptor_len as u64];
        header.extend(sizes.map(u64::to_le_bytes).as_flattened());
        header.extend(u32::try_from(self.gtes).unwrap().to_le_bytes());
        header.extend([places.rgd as u64, gd, 1].map(u64::to_le_bytes).as_flattened());
        header.push(0);
        header.extend(if self.newlines { b"\n \r\n" } else { b"\n\n\n\n" });
        header.extend(u16::from(self.compressed.is_some()).to_le_bytes());
        header.resize(SECTOR, 0);
        header
    }
}

/// A zlib stream.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0; bytes.len() + 1000];
    let compression = Compression::new(Codec::Zlib, stream.len());
    let len = Encoder::new(&compression).unwrap().encode(bytes, &mut stream).unwrap().unwrap();
    stream.truncate(len);
    stream
}

/// Writes an entry of a directory or a table at byte `at`.
fn put_entry(file: &mut [u8], at: usize, sector: usize) {
    file[at..at + 4].copy_from_slice(&u32::try_from(sector).unwrap().to_le_bytes());
}

/// Fills up to a multiple of `sectors`.
fn pad(file: &mut Vec<u8>, sectors: usize) {
    file.resize(file.len().next_multiple_of(sectors * SECTOR), 0);
}

/// A number below `end`.
pub(crate) fn below(noise: &mut Noise, end: usize) -> usize {
    usize::try_from(noise.below(end as u64)).unwrap()
}
