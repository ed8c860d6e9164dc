//! Positions and numbers of the four formats, each from its own specification.

/// gzip: RFC 1952, section 2.3. BGZF: "Sequence Alignment/Map Format Specification", section 4.1.
///
/// | Offset | Size | Field           | Rule                                  | Spec             |
/// |-------:|-----:|-----------------|---------------------------------------|------------------|
/// |      0 |    2 | `ID1`, `ID2`    | `1f 8b`                               | RFC 1952 §2.3.1  |
/// |      2 |    1 | `CM`            | 8, deflate                            | RFC 1952 §2.3.1  |
/// |      3 |    1 | `FLG`           | BGZF: `FEXTRA` alone                  | SAM §4.1         |
/// |     10 |    2 | `XLEN`          | BGZF: 6                               | SAM §4.1         |
/// |     12 |    4 | `SI1 SI2 SLEN`  | BGZF: `B C 2 0`                       | SAM §4.1         |
/// |     16 |    2 | `BSIZE`         | BGZF: bytes of the member, less 1     | SAM §4.1         |
/// |     −4 |    4 | `ISIZE`         | bytes that it decodes to, modulo 2^32 | RFC 1952 §2.3.1  |
pub(crate) mod gzip {
    /// `ID1` and `ID2`.
    pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];
    /// `CM` of deflate, the only one there is.
    pub(crate) const DEFLATE: u8 = 8;
    /// Position of `FLG`.
    pub(crate) const FLAGS_AT: usize = 3;
    /// `FLG` of a member with an extra field and nothing else.
    pub(crate) const FEXTRA: u8 = 4;
    /// Position of `XLEN`.
    pub(crate) const EXTRA_LEN_AT: usize = 10;
    /// `XLEN` of a BGZF member.
    pub(crate) const BGZF_EXTRA_LEN: u16 = 6;
    /// Position of the extra field.
    pub(crate) const EXTRA_AT: usize = 12;
    /// `SI1`, `SI2` and `SLEN` of the BGZF subfield.
    pub(crate) const BGZF_SUBFIELD: [u8; 4] = *b"BC\x02\x00";
    /// Position of `BSIZE`.
    pub(crate) const MEMBER_SIZE_AT: usize = 16;
    /// Bytes before the deflate stream of a BGZF member.
    pub(crate) const BGZF_HEADER_LEN: usize = 18;
    /// Most bytes that a BGZF member decodes to.
    pub(crate) const BGZF_BLOCK_MAX: u64 = 1 << 16;
    /// Bytes of `ISIZE`, and of the CRC-32 before it.
    pub(crate) const SIZE_LEN: u64 = 4;
    /// log2 of the window of deflate. RFC 1951, section 2.
    pub(crate) const WINDOW_BITS: u8 = 15;
}

/// xz: "The .xz File Format", version 1.2.1.
///
/// | Part          | Bytes | Field             | Rule                                            | Spec     |
/// |---------------|------:|-------------------|-------------------------------------------------|----------|
/// | Stream Header |   0–5 | Header Magic      | `fd 37 7a 58 5a 00`                             | §2.1.1.1 |
/// |               |   6–7 | Stream Flags      | 0, then the kind of the check in the low 4 bits | §2.1.1.2 |
/// |               |  8–11 | CRC32             | of the flags                                    | §2.1.1.3 |
/// | Index         |     0 | Index Indicator   | 0                                               | §4.1     |
/// |               |       | Number of Records | multibyte integer                               | §4.2     |
/// |               |       | Records           | Unpadded Size ≥ 5, Uncompressed Size            | §4.3     |
/// |               |       | Index Padding     | zeros to a multiple of four                     | §4.4     |
/// |               |  last | CRC32             | of the index                                    | §4.5     |
/// | Stream Footer |   0–3 | CRC32             | of the next six bytes                           | §2.1.2.1 |
/// |               |   4–7 | Backward Size     | bytes of the index / 4 − 1                      | §2.1.2.2 |
/// |               |   8–9 | Stream Flags      | as in the header                                | §2.1.2.3 |
/// |               | 10–11 | Footer Magic      | `YZ`                                            | §2.1.2.4 |
pub(crate) mod xz {
    /// Header Magic Bytes.
    pub(crate) const MAGIC: [u8; 6] = *b"\xfd7zXZ\x00";
    /// Footer Magic Bytes.
    pub(crate) const FOOTER_MAGIC: [u8; 2] = *b"YZ";
    /// Bytes of a Stream Header.
    pub(crate) const HEADER_LEN: usize = 12;
    /// Position of the Stream Flags in the header.
    pub(crate) const FLAGS_AT: usize = 6;
    /// Position of Backward Size in the footer.
    pub(crate) const BACKWARD_AT: usize = 4;
    /// Position of the Stream Flags in the footer.
    pub(crate) const FOOTER_FLAGS_AT: usize = 8;
    /// Position of the Footer Magic Bytes.
    pub(crate) const FOOTER_MAGIC_AT: usize = 10;
    /// Everything is a multiple of this many bytes.
    pub(crate) const WORD: u64 = 4;
    /// Smallest Unpadded Size.
    pub(crate) const UNPADDED_MIN: u64 = 5;
    /// Most bytes of a multibyte integer, section 1.2.
    pub(crate) const INTEGER_LEN: usize = 9;
    /// Bytes of a CRC32.
    pub(crate) const CRC_LEN: usize = 4;
}

/// Zstandard: RFC 8878; seekable files: "Zstandard Seekable Format", version 0.1.0.
///
/// | Part       | Bytes | Field                   | Rule                                               | Spec           |
/// |------------|------:|-------------------------|----------------------------------------------------|----------------|
/// | frame      |   0–3 | `Magic_Number`          | 0xfd2fb528                                         | RFC 8878 §3.1.1 |
/// | skippable  |   0–3 | `Magic_Number`          | 0x184d2a50 to 0x184d2a5f                           | RFC 8878 §3.1.2 |
/// |            |   4–7 | `Frame_Size`            | bytes that follow                                  | RFC 8878 §3.1.2 |
/// | seek table |   0–3 | `Skippable_Magic_Number`| 0x184d2a5e                                         | Seekable        |
/// |            |     … | `Seek_Table_Entries`    | compressed, decompressed size, perhaps a checksum  | Seekable        |
/// | its footer |   0–3 | `Number_Of_Frames`      |                                                    | Seekable        |
/// |            |     4 | `Seek_Table_Descriptor` | bit 7: entries have checksums; bits 2 to 6 are 0   | Seekable        |
/// |            |   5–8 | `Seekable_Magic_Number` | 0x8f92eab1                                         | Seekable        |
pub(crate) mod zstd {
    /// `Magic_Number` of a frame.
    pub(crate) const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
    /// `Magic_Number` of the first kind of skippable frame.
    pub(crate) const SKIPPABLE_MAGIC: u32 = 0x184d_2a50;
    /// The bits of a magic number in which skippable frames differ.
    pub(crate) const SKIPPABLE_KINDS: u32 = 0xf;
    /// `Skippable_Magic_Number` of a seek table.
    pub(crate) const SEEK_TABLE_MAGIC: u32 = 0x184d_2a5e;
    /// Bytes of the head of a skippable frame.
    pub(crate) const SKIPPABLE_HEADER_LEN: usize = 8;
    /// Bytes of the footer of a seek table.
    pub(crate) const FOOTER_LEN: usize = 9;
    /// Position of `Seek_Table_Descriptor` in the footer.
    pub(crate) const DESCRIPTOR_AT: usize = 4;
    /// Position of `Seekable_Magic_Number` in the footer.
    pub(crate) const SEEKABLE_MAGIC_AT: usize = 5;
    /// `Seekable_Magic_Number`.
    pub(crate) const SEEKABLE_MAGIC: [u8; 4] = 0x8f92_eab1_u32.to_le_bytes();
    /// `Checksum_Flag` in the descriptor.
    pub(crate) const CHECKSUMS: u8 = 0x80;
    /// `Reserved_Bits` of the descriptor.
    pub(crate) const RESERVED: u8 = 0x7c;
    /// Bytes of an entry without its checksum.
    pub(crate) const ENTRY_LEN: usize = 8;
    /// Bytes of the checksum of an entry.
    pub(crate) const CHECKSUM_LEN: usize = 4;
}

/// bzip2: no specification but its program's; "BZIP2: Format Specification" (J. Tsai) describes it.
///
/// | Offset | Size | Field              | Rule                                                  |
/// |-------:|-----:|--------------------|-------------------------------------------------------|
/// |      0 |    3 | `HeaderMagic`      | `BZh`                                                 |
/// |      3 |    1 | `Level`            | `1` to `9`, hundreds of kilobytes                     |
/// |      4 |    6 | `BlockMagic`       | `31 41 59 26 53 59`, or `17 72 45 38 50 90` at the end |
pub(crate) mod bzip2 {
    /// `HeaderMagic`.
    pub(crate) const MAGIC: [u8; 3] = *b"BZh";
    /// Position of the magic number of the first block, or of the end of the stream.
    pub(crate) const BLOCK_AT: usize = 4;
    /// Magic number of a block.
    pub(crate) const BLOCK_MAGIC: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
    /// Magic number of the end of a stream.
    pub(crate) const END_MAGIC: [u8; 6] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];
}

/// log2 of the largest window, or dictionary, that is decoded: 128 MiB, what `zstd` takes without being asked and twice
/// what `xz -9` writes. Not a rule of either format.
pub(crate) const WINDOW_BITS_MAX: u32 = 27;
