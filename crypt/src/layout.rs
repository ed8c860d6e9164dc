//! The layout of a LUKS1 header: offsets and bounds, in the order of the specification.
//!
//! Written from the public "LUKS1 On-Disk Format Specification", version 1.2.3; figures and tables are those of its
//! section "Partition header". All integers are big-endian, offsets within the header count from its start, and a
//! sector has 512 bytes.
//!
//! | Offset | Size | Field | Rule |
//! |-------:|-----:|---|---|
//! |   0 |  6 | `magic` | `"LUKS\xba\xbe"` |
//! |   6 |  2 | `version` | 1 |
//! |   8 | 32 | `cipher-name` | `aes`, `serpent`, `twofish` or `cast5`, padded with zeros |
//! |  40 | 32 | `cipher-mode` | mode, `-`, generator of initial vectors: `xts-plain64` |
//! |  72 | 32 | `hash-spec` | the hash of PBKDF2, of the splitter, and of the digest |
//! | 104 |  4 | `payload-offset` | in sectors; behind all key material |
//! | 108 |  4 | `key-bytes` | what the cipher takes |
//! | 112 | 20 | `mk-digest` | PBKDF2 of the master key |
//! | 132 | 32 | `mk-digest-salt` | |
//! | 164 |  4 | `mk-digest-iter` | not 0 |
//! | 168 | 40 | `uuid` | text |
//! | 208 | 8 × 48 | key slots | |
//!
//! A key slot:
//!
//! | Offset | Size | Field | Rule |
//! |-------:|-----:|---|---|
//! |   0 |  4 | `active` | 0x00ac71f3 or 0x0000dead |
//! |   4 |  4 | `iterations` | not 0 in an active slot |
//! |   8 | 32 | `salt` | |
//! |  40 |  4 | `key-material-offset` | in sectors, from the start of the header |
//! |  44 |  4 | `stripes` | 4000 |

/// First bytes of every LUKS header.
pub const MAGIC: [u8; 6] = *b"LUKS\xba\xbe";
/// Offset of `version`.
pub const VERSION_AT: usize = 6;
/// Offset of `cipher-name`.
pub(crate) const CIPHER_NAME_AT: usize = 8;
/// Offset of `cipher-mode`.
pub(crate) const CIPHER_MODE_AT: usize = 40;
/// Offset of `hash-spec`.
pub(crate) const HASH_SPEC_AT: usize = 72;
/// Bytes of each of the three names.
pub(crate) const NAME_LEN: usize = 32;
/// Offset of `payload-offset`.
pub const PAYLOAD_OFFSET_AT: usize = 104;
/// Offset of `key-bytes`.
pub(crate) const KEY_BYTES_AT: usize = 108;
/// Offset of `mk-digest`.
pub(crate) const DIGEST_AT: usize = 112;
/// Bytes of the digest.
pub(crate) const DIGEST_LEN: usize = 20;
/// Offset of `mk-digest-salt`.
pub(crate) const DIGEST_SALT_AT: usize = 132;
/// Bytes of a salt.
pub(crate) const SALT_LEN: usize = 32;
/// Offset of `mk-digest-iter`.
pub(crate) const DIGEST_ITERATIONS_AT: usize = 164;
/// Offset of `uuid`.
pub(crate) const UUID_AT: usize = 168;
/// Bytes of the UUID, with the zeros behind it.
pub(crate) const UUID_LEN: usize = 40;
/// Offset of the first key slot.
pub(crate) const SLOTS_AT: usize = 208;
/// Bytes of a key slot.
pub(crate) const SLOT_LEN: usize = 48;
/// Key slots.
pub(crate) const SLOTS: usize = 8;
/// Bytes of the header without the key material.
pub const HEADER_LEN: usize = SLOTS_AT + SLOTS * SLOT_LEN;

/// Offset of `iterations` in a slot; `active` comes first.
pub(crate) const SLOT_ITERATIONS_AT: usize = 4;
/// Offset of `salt` in a slot.
pub(crate) const SLOT_SALT_AT: usize = 8;
/// Offset of `key-material-offset` in a slot.
pub(crate) const SLOT_MATERIAL_AT: usize = 40;
/// Offset of `stripes` in a slot.
pub(crate) const SLOT_STRIPES_AT: usize = 44;

/// The version that is known here.
pub const VERSION: u16 = 1;
/// `active` of a slot that holds a key.
pub(crate) const SLOT_ACTIVE: u32 = 0x00ac_71f3;
/// `active` of a slot that holds none.
pub(crate) const SLOT_INACTIVE: u32 = 0x0000_dead;
/// Stripes of the splitter. Specification, "Constants": `LUKS_STRIPES`.
pub(crate) const STRIPES: u32 = 4000;
/// Bytes to which key material is aligned. Specification, "Constants": `LUKS_ALIGN_KEYSLOTS`.
pub(crate) const MATERIAL_ALIGN: u64 = 4096;
/// Bytes of a sector, of which each has an initial vector of its own.
pub const SECTOR_LEN: usize = 512;
/// Most PBKDF2 iterations of a slot or of the digest. Not a rule of the format: what cloud services take. It bounds the
/// work that a header can ask for.
pub(crate) const MAX_ITERATIONS: u32 = 12_000_000;
/// Least iterations that are written. Specification, "Constants": `LUKS_MKD_ITER` and the least of a slot.
pub(crate) const MIN_ITERATIONS: u32 = 1000;
