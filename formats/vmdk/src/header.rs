//! The header of a sparse extent.

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};

use crate::cowd;
use crate::layout::{
    CAPACITY_AT, COMPRESS_ALGORITHM_AT, COMPRESSION_DEFLATE, COMPRESSION_NONE, COWD_MAGIC, DESCRIPTOR_OFFSET_AT,
    DESCRIPTOR_SIZE_AT, ENTRY_LEN, FLAGS_AT, Flags, GD_AT_END, GD_OFFSET_AT, GRAIN_SIZE_AT, HEADER_LEN, MAGIC,
    MAX_GRAIN_SIZE, MAX_GTES_PER_GT, MAX_VERSION, MIN_GRAIN_SIZE, NEWLINES, NEWLINES_AT, NUM_GTES_PER_GT_AT,
    OVERHEAD_AT, RGD_OFFSET_AT, SECTOR_LEN, SESPARSE_MAGIC, UNCLEAN_SHUTDOWN_AT, VERSION_AT, byte_of, le_u16, le_u32,
    le_u64,
};
use crate::sesparse::{self, Places};

/// Which kind of sparse extent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Hosted, or stream-optimised.
    Hosted,
    /// Of ESX, of the old kind.
    Cowd,
    /// Of ESX, space-efficient.
    SeSparse(Places),
}

/// A header that keeps every rule. Places and sizes are in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Which kind of extent it is of; the fields are named as in a hosted one.
    pub(crate) kind: Kind,
    /// `version`.
    pub(crate) version: u32,
    /// `flags`.
    pub(crate) flags: Flags,
    /// `capacity`: not 0, and no more bytes than the limits allow.
    pub(crate) capacity: u64,
    /// `grainSize`: a power of two.
    pub(crate) grain_size: u64,
    /// `descriptorOffset`; 0 where there is none.
    pub(crate) descriptor_offset: u64,
    /// `descriptorSize`.
    pub(crate) descriptor_size: u64,
    /// `numGTEsPerGT`: not 0.
    pub(crate) gtes_per_gt: u32,
    /// `rgdOffset`.
    pub(crate) rgd_offset: u64,
    /// `gdOffset`.
    pub(crate) gd_offset: u64,
    /// `overHead`.
    pub(crate) overhead: u64,
    /// Whether `uncleanShutdown` is set.
    pub(crate) unclean: bool,
    /// Whether grains are zlib streams.
    pub(crate) compressed: bool,
}

impl Header {
    /// Reads the header that an extent of any kind starts with.
    pub(crate) fn read_any(storage: &dyn Storage, limits: &Limits) -> Result<Self> {
        let mut magic = [0; 8];
        storage.read_padded(&mut magic, 0)?;
        if magic.starts_with(&COWD_MAGIC) {
            return cowd::parse(&storage.read_array(0)?, limits);
        }
        if magic == SESPARSE_MAGIC {
            let header = sesparse::parse(&storage.read_array(0)?, limits)?;
            if let Kind::SeSparse(places) = &header.kind {
                places.check_volatile(storage)?;
            }
            return Ok(header);
        }
        Self::read(storage, 0, limits)
    }

    /// Reads the header of a hosted extent at byte `at`.
    pub(crate) fn read(storage: &dyn Storage, at: u64, limits: &Limits) -> Result<Self> {
        let mut sector = [0; HEADER_LEN];
        let there = storage.read_padded(&mut sector, at)?;
        let header = match check_magic(&sector) {
            Ok(()) if there < HEADER_LEN => {
                let what = format!("the header is {HEADER_LEN} bytes, but the file ends at byte {}", storage.len());
                Err(Error::out_of_bounds(what).at(0))
            }
            Ok(()) => Self::parse(&sector, limits),
            Err(error) => Err(error),
        };
        header.map_err(|e| {
            let field_at = e.offset().unwrap_or(0);
            e.at(at.saturating_add(field_at))
        })
    }

    /// Checks every rule that the header alone can break.
    pub(crate) fn parse(sector: &[u8; HEADER_LEN], limits: &Limits) -> Result<Self> {
        check_magic(sector)?;
        let version = parse_version(sector)?;
        let flags = parse_flags(sector)?;
        let compressed = parse_compression(sector, flags)?;
        let grain_size = parse_grain_size(sector, compressed, limits)?;
        let (descriptor_offset, descriptor_size) = parse_descriptor_place(sector)?;
        let header = Self {
            kind: Kind::Hosted,
            version,
            flags,
            capacity: parse_capacity(sector, limits)?,
            grain_size,
            descriptor_offset,
            descriptor_size,
            gtes_per_gt: parse_gtes_per_gt(sector)?,
            rgd_offset: le_u64::<RGD_OFFSET_AT, HEADER_LEN>(sector),
            gd_offset: le_u64::<GD_OFFSET_AT, HEADER_LEN>(sector),
            overhead: le_u64::<OVERHEAD_AT, HEADER_LEN>(sector),
            unclean: sector[UNCLEAN_SHUTDOWN_AT] != 0,
            compressed,
        };
        if header.gd_offset == 0 && header.redundant_directory().is_none() {
            return Err(malformed("gdOffset", GD_OFFSET_AT, "is 0, where the header itself is"));
        }
        Ok(header)
    }

    /// Whether the place of the grain directory is left to a footer.
    pub(crate) fn has_footer(&self) -> bool {
        self.gd_offset == GD_AT_END
    }

    /// The sector of the redundant grain directory, where there is one.
    pub(crate) fn redundant_directory(&self) -> Option<u64> {
        (self.flags.has(Flags::REDUNDANT) && self.rgd_offset != 0).then_some(self.rgd_offset)
    }

    /// Bytes that the header itself takes.
    pub(crate) fn len(&self) -> u64 {
        match self.kind {
            Kind::Cowd => cowd::HEADER_LEN as u64,
            Kind::Hosted | Kind::SeSparse(_) => HEADER_LEN as u64,
        }
    }

    /// Bytes of an entry of a directory or table.
    pub(crate) fn entry_len(&self) -> u64 {
        match self.kind {
            Kind::SeSparse(_) => sesparse::ENTRY_LEN,
            Kind::Hosted | Kind::Cowd => ENTRY_LEN,
        }
    }

    /// Bytes of a grain table.
    pub(crate) fn table_len(&self) -> u64 {
        u64::from(self.gtes_per_gt) * self.entry_len()
    }

    /// Guest bytes of a grain.
    pub(crate) fn grain_len(&self) -> u64 {
        byte_of(self.grain_size)
    }

    /// How many grain tables there can be, and so the entries of the grain directory.
    pub(crate) fn table_count(&self) -> u64 {
        self.capacity.div_ceil(self.grain_size).div_ceil(u64::from(self.gtes_per_gt))
    }

    /// The guest bytes of the extent, where its extent line says that they are `sectors` and that is the capacity, or the
    /// capacity is that rounded up to a grain.
    pub(crate) fn rounded_size(&self, sectors: u64) -> Option<u64> {
        let rounds_up = sectors.checked_next_multiple_of(self.grain_size) == Some(self.capacity);
        (sectors == self.capacity || rounds_up).then(|| byte_of(sectors))
    }

    /// Whether it is of an extent that can be edited in place, and was not closed in an orderly way.
    pub(crate) fn is_unclean_grains(&self) -> bool {
        self.unclean && self.kind == Kind::Hosted && !self.compressed
    }

    /// The guest bytes of the extent, of which its extent line says that they are `sectors`.
    ///
    /// Some round `capacity` up to a grain, so the line counts where it says the same but for that. Where the extent was
    /// not closed in an orderly way, it may have been given another size: that begins with the header.
    pub(crate) fn true_size(&self, sectors: u64) -> Result<u64> {
        if let Some(size) = self.rounded_size(sectors) {
            return Ok(size);
        }
        if self.is_unclean_grains() {
            return Ok(byte_of(self.capacity));
        }
        let what = format!("is {} sectors, where the extent line says {sectors}", self.capacity);
        match self.kind {
            Kind::Cowd => Err(malformed("numSectors", cowd::NUM_SECTORS_AT, what)),
            Kind::SeSparse(_) => Err(malformed("capacity", sesparse::CAPACITY_AT, what)),
            Kind::Hosted => Err(malformed("capacity", CAPACITY_AT, what)),
        }
    }
}

/// An error about a field of the header.
pub(crate) fn malformed(field: &'static str, at: usize, what: impl Into<String>) -> Error {
    Error::malformed(what).field(field).at(at as u64)
}

/// Checks `magicNumber` of a hosted extent.
fn check_magic(sector: &[u8; HEADER_LEN]) -> Result<()> {
    if sector.starts_with(&MAGIC) {
        return Ok(());
    }
    Err(malformed("magicNumber", 0, "is not that of a sparse extent"))
}

/// Why `bytes`, the start of a file, are a sparse extent's, if they are.
pub(crate) fn recognise(bytes: &[u8]) -> Option<&'static str> {
    let reasons = [
        (MAGIC.as_slice(), "the magic number KDMV"),
        (COWD_MAGIC.as_slice(), "the magic number COWD, of an ESX sparse extent"),
        (SESPARSE_MAGIC.as_slice(), "the magic number of a space-efficient ESX extent"),
    ];
    reasons.into_iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, reason)| reason)
}

/// Checks `version`.
fn parse_version(sector: &[u8; HEADER_LEN]) -> Result<u32> {
    let version = le_u32::<VERSION_AT, HEADER_LEN>(sector);
    if (1..=MAX_VERSION).contains(&version) {
        return Ok(version);
    }
    let what = format!("is {version}, outside 1..={MAX_VERSION}");
    Err(Error::unsupported(what).field("version").at(VERSION_AT as u64))
}

/// Checks `flags`, and the newline bytes: where those have changed, so has everything else.
fn parse_flags(sector: &[u8; HEADER_LEN]) -> Result<Flags> {
    let flags = Flags(le_u32::<FLAGS_AT, HEADER_LEN>(sector));
    if flags.unknown() != 0 {
        let what = format!("has bits that are not known: {:#x}", flags.unknown());
        return Err(Error::unsupported(what).field("flags").at(FLAGS_AT as u64));
    }
    let newlines = &sector[NEWLINES_AT..NEWLINES_AT + NEWLINES.len()];
    if flags.has(Flags::NEWLINES) && newlines != NEWLINES {
        let what = format!("and what follows is {newlines:02x?}, so the file went through a text-mode transfer");
        return Err(malformed("singleEndLineChar", NEWLINES_AT, what));
    }
    Ok(flags)
}

/// Checks that `compressAlgorithm` is known and agrees with the flags; says whether grains are compressed.
fn parse_compression(sector: &[u8; HEADER_LEN], flags: Flags) -> Result<bool> {
    let algorithm = le_u16::<COMPRESS_ALGORITHM_AT, HEADER_LEN>(sector);
    let compressed = flags.has(Flags::COMPRESSED);
    match algorithm {
        COMPRESSION_NONE | COMPRESSION_DEFLATE if compressed != (algorithm == COMPRESSION_DEFLATE) => {
            let what = format!("is {algorithm}, where flag bit 16 is {}", u8::from(compressed));
            Err(malformed("compressAlgorithm", COMPRESS_ALGORITHM_AT, what))
        }
        COMPRESSION_NONE if flags.has(Flags::MARKERS) => {
            let what = "has markers (bit 17) for grains that are not compressed, which cannot be read";
            Err(Error::unsupported(what).field("flags").at(FLAGS_AT as u64))
        }
        COMPRESSION_NONE | COMPRESSION_DEFLATE => Ok(compressed),
        _ => {
            let what = format!("is {algorithm}; only 1, deflate, is known");
            Err(Error::unsupported(what).field("compressAlgorithm").at(COMPRESS_ALGORITHM_AT as u64))
        }
    }
}

/// Checks `capacity`.
fn parse_capacity(sector: &[u8; HEADER_LEN], limits: &Limits) -> Result<u64> {
    let capacity = le_u64::<CAPACITY_AT, HEADER_LEN>(sector);
    if capacity == 0 {
        return Err(malformed("capacity", CAPACITY_AT, "is 0, and a descriptor may not decide in its place"));
    }
    let most = limits.virtual_size.min(i64::MAX as u64) / SECTOR_LEN;
    Limits::check("capacity", capacity, most).map_err(|e| e.at(CAPACITY_AT as u64))?;
    Ok(capacity)
}

/// Checks `grainSize`.
fn parse_grain_size(sector: &[u8; HEADER_LEN], compressed: bool, limits: &Limits) -> Result<u64> {
    let grain_size = le_u64::<GRAIN_SIZE_AT, HEADER_LEN>(sector);
    if !grain_size.is_power_of_two() || grain_size < MIN_GRAIN_SIZE {
        let what = format!("is {grain_size}, no power of two from {MIN_GRAIN_SIZE} on");
        return Err(malformed("grainSize", GRAIN_SIZE_AT, what));
    }
    let most = if compressed { MAX_GRAIN_SIZE.min(limits.unit_bytes / SECTOR_LEN) } else { MAX_GRAIN_SIZE };
    Limits::check("grainSize", grain_size, most).map_err(|e| e.at(GRAIN_SIZE_AT as u64))?;
    Ok(grain_size)
}

/// Checks `descriptorOffset` and `descriptorSize` against each other.
fn parse_descriptor_place(sector: &[u8; HEADER_LEN]) -> Result<(u64, u64)> {
    let offset = le_u64::<DESCRIPTOR_OFFSET_AT, HEADER_LEN>(sector);
    let size = le_u64::<DESCRIPTOR_SIZE_AT, HEADER_LEN>(sector);
    if offset != 0 && size == 0 {
        return Err(malformed("descriptorSize", DESCRIPTOR_SIZE_AT, "is 0, where there is a descriptor"));
    }
    Ok((offset, size))
}

/// Checks `numGTEsPerGT`.
fn parse_gtes_per_gt(sector: &[u8; HEADER_LEN]) -> Result<u32> {
    let count = le_u32::<NUM_GTES_PER_GT_AT, HEADER_LEN>(sector);
    if count == 0 {
        return Err(malformed("numGTEsPerGT", NUM_GTES_PER_GT_AT, "is 0"));
    }
    Limits::check("numGTEsPerGT", u64::from(count), u64::from(MAX_GTES_PER_GT))
        .map_err(|e| e.at(NUM_GTES_PER_GT_AT as u64))?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;

    /// A header that keeps every rule: 1 GiB in grains of 64 KiB.
    fn sector() -> [u8; HEADER_LEN] {
        let mut sector = [0; HEADER_LEN];
        sector[..4].copy_from_slice(&MAGIC);
        for (at, value) in [(VERSION_AT, 1), (FLAGS_AT, 3), (NUM_GTES_PER_GT_AT, 512)] {
            sector[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        }
        for (at, value) in [
            (CAPACITY_AT, 1 << 21),
            (GRAIN_SIZE_AT, 128),
            (DESCRIPTOR_OFFSET_AT, 1),
            (DESCRIPTOR_SIZE_AT, 20),
            (RGD_OFFSET_AT, 21),
            (GD_OFFSET_AT, 26),
            (OVERHEAD_AT, 128),
        ] {
            sector[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
        }
        sector[NEWLINES_AT..NEWLINES_AT + 4].copy_from_slice(&NEWLINES);
        sector
    }

    fn poked(at: usize, bytes: &[u8]) -> Result<Header> {
        let mut sector = sector();
        sector[at..at + bytes.len()].copy_from_slice(bytes);
        Header::parse(&sector, &Limits::default())
    }

    #[test]
    fn a_header_that_keeps_the_rules_says_what_it_says() {
        let header = Header::parse(&sector(), &Limits::default()).unwrap();
        assert_eq!((header.version, header.capacity, header.grain_size, header.gtes_per_gt), (1, 1 << 21, 128, 512));
        assert_eq!((header.grain_len(), header.table_count()), (65_536, 32));
        assert_eq!(header.redundant_directory(), Some(21));
        assert!(!header.compressed && !header.unclean && !header.has_footer());
    }

    #[test]
    fn every_broken_rule_names_its_field_and_byte() {
        use ErrorKind::{LimitExceeded, Malformed, Unsupported};
        let cases: &[(usize, &[u8], ErrorKind, &str, usize)] = &[
            (0, b"KDMW", Malformed, "magicNumber", 0),
            (0, b"COWD", Malformed, "magicNumber", 0),
            (VERSION_AT, &[0], Unsupported, "version", 4),
            (VERSION_AT, &[4], Unsupported, "version", 4),
            (FLAGS_AT + 3, &[1], Unsupported, "flags", 8),
            (FLAGS_AT + 2, &[1], Malformed, "compressAlgorithm", 77),
            (FLAGS_AT + 2, &[2], Unsupported, "flags", 8),
            (CAPACITY_AT, &[0; 8], Malformed, "capacity", 12),
            (CAPACITY_AT, &[255; 8], LimitExceeded, "capacity", 12),
            (GRAIN_SIZE_AT, &[0; 8], Malformed, "grainSize", 20),
            (GRAIN_SIZE_AT, &[4], Malformed, "grainSize", 20),
            (GRAIN_SIZE_AT, &[0, 0, 0, 0, 0, 0, 0, 128], LimitExceeded, "grainSize", 20),
            (DESCRIPTOR_SIZE_AT, &[0; 8], Malformed, "descriptorSize", 36),
            (NUM_GTES_PER_GT_AT, &[0; 4], Malformed, "numGTEsPerGT", 44),
            (NUM_GTES_PER_GT_AT, &[1, 16, 0, 0], LimitExceeded, "numGTEsPerGT", 44),
            (NEWLINES_AT, b"\r\n \r", Malformed, "singleEndLineChar", 73),
            (COMPRESS_ALGORITHM_AT, &[1], Malformed, "compressAlgorithm", 77),
            (COMPRESS_ALGORITHM_AT, &[2], Unsupported, "compressAlgorithm", 77),
        ];
        for &(at, bytes, kind, field, offset) in cases {
            let error = poked(at, bytes).unwrap_err();
            assert_eq!((error.kind(), error.field_name(), error.offset()), (kind, Some(field), Some(offset as u64)));
        }
    }

    #[test]
    fn the_redundant_directory_may_stand_in_for_one_without_a_place() {
        assert!(poked(GD_OFFSET_AT, &[0; 8]).is_ok());
        let mut sector = sector();
        sector[GD_OFFSET_AT] = 0;
        sector[FLAGS_AT] = 1;
        assert_eq!(Header::parse(&sector, &Limits::default()).unwrap_err().offset(), Some(56));
    }

    #[test]
    fn the_extent_line_counts_only_where_it_rounds_up_to_the_capacity() {
        let header = Header::parse(&sector(), &Limits::default()).unwrap();
        assert_eq!(header.true_size(1 << 21).unwrap(), 1 << 30);
        assert_eq!(header.true_size((1 << 21) - 127).unwrap(), (1 << 30) - 127 * 512);
        for sectors in [0, 1, (1 << 21) - 128, (1 << 21) + 1, u64::MAX] {
            assert_eq!(header.true_size(sectors).unwrap_err().offset(), Some(12));
        }
    }
}
