//! Partition tables from their specifications, sharing no code with the reader.

/// The checksum of GPT, bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xedb8_8320 })
    })
}

/// Writes an entry of an MBR or an EBR in the sector at `at`.
pub(crate) fn mbr_entry(disk: &mut [u8], at: usize, index: usize, status: u8, kind: u8, start: u32, sectors: u32) {
    let entry = at + 446 + 16 * index;
    disk[entry] = status;
    disk[entry + 4] = kind;
    disk[entry + 8..entry + 12].copy_from_slice(&start.to_le_bytes());
    disk[entry + 12..entry + 16].copy_from_slice(&sectors.to_le_bytes());
    disk[at + 510..at + 512].copy_from_slice(&[0x55, 0xaa]);
}

/// A partition of a GPT: first and last sector, and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GptPart {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) name: String,
}

/// A GPT on a disk in memory.
#[derive(Clone, Debug)]
pub(crate) struct GptDisk {
    pub(crate) sector_len: usize,
    pub(crate) sectors: usize,
    pub(crate) count: usize,
    pub(crate) parts: Vec<GptPart>,
}

impl GptDisk {
    /// The disk, with a protective MBR and both copies.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut disk = vec![0; self.sector_len * self.sectors];
        mbr_entry(&mut disk, 0, 0, 0, 0xee, 1, u32::try_from(self.sectors - 1).unwrap());
        let entries = self.entries();
        let entries_sectors = entries.len().div_ceil(self.sector_len);
        let last = self.sectors - 1;
        self.put(&mut disk, 2, &entries);
        self.put(&mut disk, last - entries_sectors, &entries);
        let usable = (2 + entries_sectors, last - entries_sectors - 1);
        let primary = self.header(1, last, 2, usable, &entries);
        self.put(&mut disk, 1, &primary);
        let backup = self.header(last, 1, last - entries_sectors, usable, &entries);
        self.put(&mut disk, last, &backup);
        disk
    }

    /// The byte of the backup header.
    pub(crate) fn backup_at(&self) -> usize {
        (self.sectors - 1) * self.sector_len
    }

    fn put(&self, disk: &mut [u8], sector: usize, bytes: &[u8]) {
        let at = sector * self.sector_len;
        disk[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn header(&self, my: usize, other: usize, entries_at: usize, usable: (usize, usize), entries: &[u8]) -> Vec<u8> {
        let mut header = b"EFI PART\0\0\x01\0\x5c\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        for lba in [my, other, usable.0, usable.1] {
            header.extend((lba as u64).to_le_bytes());
        }
        header.extend((1..=16).collect::<Vec<u8>>());
        header.extend((entries_at as u64).to_le_bytes());
        header.extend(u32::try_from(self.count).unwrap().to_le_bytes());
        header.extend(128u32.to_le_bytes());
        header.extend(crc32(entries).to_le_bytes());
        let crc = crc32(&header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        header
    }

    fn entries(&self) -> Vec<u8> {
        let mut entries = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            entries.extend([
                0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
            ]);
            entries.extend([u8::try_from(index + 1).unwrap(); 16]);
            entries.extend(part.first.to_le_bytes());
            entries.extend(part.last.to_le_bytes());
            entries.extend(0u64.to_le_bytes());
            let mut name: Vec<u8> = part.name.encode_utf16().flat_map(u16::to_le_bytes).take(72).collect();
            name.resize(72, 0);
            entries.extend(name);
        }
        entries.resize(self.count * 128, 0);
        entries
    }
}
