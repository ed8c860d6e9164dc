//! Extents of ESX, built from what is known of their layouts; nothing is shared with the crate.

use imgfmt_core::conformance::Noise;

/// Which kind of extent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// COWD, in grains of so many sectors.
    Cowd {
        /// Sectors of a grain.
        grain: usize,
    },
    /// Space-efficient.
    SeSparse,
}

/// What a grain is. In a COWD extent, zeros are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    /// The parent's.
    Absent,
    /// Zeros.
    Zeroed,
    /// Zeros, by another entry.
    Unmapped,
    /// Noise.
    Data,
}

/// An extent.
#[derive(Clone, Debug)]
pub(crate) struct Delta {
    /// Which kind.
    pub(crate) kind: Kind,
    /// Its grains.
    pub(crate) grains: Vec<Grain>,
    /// Sectors that the last grain is short of.
    pub(crate) odd: usize,
    /// What contents follow from.
    pub(crate) seed: u64,
}

impl Delta {
    /// Bytes of a grain.
    fn grain_len(&self) -> usize {
        match self.kind {
            Kind::Cowd { grain } => grain * 512,
            Kind::SeSparse => 4096,
        }
    }

    /// Guest sectors.
    pub(crate) fn sectors(&self) -> usize {
        self.grains.len() * self.grain_len() / 512 - self.odd.min(self.grain_len() / 512 - 1)
    }

    /// Guest bytes.
    pub(crate) fn size(&self) -> usize {
        self.sectors() * 512
    }

    /// The bytes of each grain that is stored.
    fn contents(&self) -> Vec<Option<Vec<u8>>> {
        let mut noise = Noise(self.seed | 1);
        let content = |grain: &Grain| {
            let mut bytes = vec![0; self.grain_len()];
            match (grain, self.kind) {
                (Grain::Data, _) => noise.fill(&mut bytes),
                (Grain::Zeroed | Grain::Unmapped, Kind::Cowd { .. }) => {}
                _ => return None,
            }
            Some(bytes)
        };
        self.grains.iter().map(content).collect()
    }

    /// What shows over `base`.
    pub(crate) fn over(&self, base: &[u8]) -> Vec<u8> {
        let mut shown = base.to_vec();
        shown.resize(self.grains.len() * self.grain_len(), 0);
        let parts = shown.chunks_mut(self.grain_len()).zip(self.grains.iter().zip(self.contents()));
        for (part, (grain, content)) in parts {
            match content {
                Some(content) => part.copy_from_slice(&content),
                None if *grain != Grain::Absent => part.fill(0),
                None => {}
            }
        }
        shown.truncate(self.size());
        shown
    }

    /// The file.
    pub(crate) fn build(&self) -> Vec<u8> {
        match self.kind {
            Kind::Cowd { grain } => self.build_cowd(grain),
            Kind::SeSparse => self.build_sesparse(),
        }
    }

    /// A COWD extent; tables lie where the first of their grains was written.
    fn build_cowd(&self, grain: usize) -> Vec<u8> {
        let tables = self.grains.len().div_ceil(4096);
        let mut file = vec![0; 2048 + (4 * tables).next_multiple_of(512)];
        file[..4].copy_from_slice(b"COWD");
        for (at, value) in [(4, 1), (8, 3), (12, self.sectors()), (16, grain), (20, 4), (24, tables)] {
            put32(&mut file, at, value);
        }
        let mut places = vec![0; tables];
        for (number, content) in self.contents().into_iter().enumerate() {
            let Some(content) = content else { continue };
            let place = &mut places[number / 4096];
            if *place == 0 {
                *place = file.len();
                put32(&mut file, 2048 + 4 * (number / 4096), *place / 512);
                file.resize(*place + 4 * 4096, 0);
            }
            let sector = file.len() / 512;
            put32(&mut file, *place + 4 * (number % 4096), sector);
            file.extend(content);
        }
        file
    }

    /// A space-efficient extent; tables and grains are given out from the last to the first.
    fn build_sesparse(&self) -> Vec<u8> {
        let directory = (8 * self.grains.len().div_ceil(4096)).div_ceil(512);
        let is_used = |grains: &[Grain]| grains.iter().any(|&grain| grain != Grain::Absent);
        let used: Vec<usize> =
            self.grains.chunks(4096).enumerate().filter(|(_, grains)| is_used(grains)).map(|(n, _)| n).rev().collect();
        let tables_at = 2 + directory;
        let grains_at = tables_at + 64 * used.len();
        let mut file = vec![0; grains_at * 512];
        for (at, value) in [(0, 0xcafe_babe), (8, 0x2_0000_0001), (16, self.sectors() as u64), (24, 8), (32, 64)] {
            put64(&mut file, at, value);
        }
        let places = [(80, 1), (88, 1), (128, 2), (136, directory), (144, tables_at), (152, 64 * used.len())];
        for (at, value) in places.into_iter().chain([(192, grains_at)]) {
            put64(&mut file, at, value as u64);
        }
        put64(&mut file, 512, 0xcafe_cafe);
        let mut next = 0_u64;
        let contents = self.contents();
        for (index, &table) in used.iter().enumerate() {
            put64(&mut file, 1024 + 8 * table, 1 << 60 | index as u64);
            let grains = self.grains.chunks(4096).nth(table).unwrap();
            for (slot, grain) in grains.iter().enumerate().rev() {
                let entry = match grain {
                    Grain::Absent => continue,
                    Grain::Unmapped => 1 << 60,
                    Grain::Zeroed => 2 << 60,
                    Grain::Data => 3 << 60 | (next & 0xfff) << 48 | next >> 12,
                };
                put64(&mut file, (tables_at + 64 * index) * 512 + 8 * slot, entry);
                if let Some(content) = &contents[table * 4096 + slot] {
                    file.extend(content);
                    next += 1;
                }
            }
        }
        file
    }

    /// The descriptor of a disk that is this extent.
    pub(crate) fn descriptor(&self, extent: &str, parent: Option<&str>) -> Vec<u8> {
        let (create_type, kind) = match self.kind {
            Kind::Cowd { .. } => ("vmfsSparse", "VMFSSPARSE"),
            Kind::SeSparse => ("seSparse", "SESPARSE"),
        };
        descriptor(create_type, self.sectors(), kind, extent, 8, parent.map(|name| (name, 7)))
    }
}

/// A descriptor with one extent.
pub(crate) fn descriptor(
    create_type: &str,
    sectors: usize,
    kind: &str,
    extent: &str,
    cid: u32,
    parent: Option<(&str, u32)>,
) -> Vec<u8> {
    let parent_cid = parent.map_or(u32::MAX, |(_, cid)| cid);
    let hint = parent.map(|(name, _)| format!("parentFileNameHint=\"{name}\"\n")).unwrap_or_default();
    let text = format!(
        "# Disk DescriptorFile\nversion=1\nCID={cid:08x}\nparentCID={parent_cid:08x}\ncreateType=\"{create_type}\"\n\
         {hint}# Extent description\nRW {sectors} {kind} \"{extent}\"\n"
    );
    text.into_bytes()
}

/// Writes a number of 4 bytes.
fn put32(file: &mut [u8], at: usize, value: usize) {
    file[at..at + 4].copy_from_slice(&u32::try_from(value).unwrap().to_le_bytes());
}

/// Writes a number of 8 bytes.
fn put64(file: &mut [u8], at: usize, value: u64) {
    file[at..at + 8].copy_from_slice(&value.to_le_bytes());
}
