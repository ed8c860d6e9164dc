//! The LUKS1 header: parsed once, into a value that keeps every rule of the layout; and written.

use imgfmt_core::fields::{Fields, Place};
use imgfmt_core::{Limits, Result};
use serde_json::{Map, Value, json};

use crate::cipher::{SectorCipher, sector_cipher};
use crate::hash::Hash;
use crate::key;
use crate::layout::{
    CIPHER_MODE_AT, CIPHER_NAME_AT, DIGEST_AT, DIGEST_ITERATIONS_AT, DIGEST_LEN, DIGEST_SALT_AT, HASH_SPEC_AT,
    HEADER_LEN, KEY_BYTES_AT, MAGIC, MATERIAL_ALIGN, MAX_ITERATIONS, NAME_LEN, PAYLOAD_OFFSET_AT, SALT_LEN, SECTOR_LEN,
    SLOT_LEN, SLOTS, SLOTS_AT, STRIPES, UUID_AT, UUID_LEN, VERSION, VERSION_AT,
};
use crate::slot::{self, Slot};
use crate::spec::{CipherSpec, IvSpec};

/// A header that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LuksHeader {
    /// Cipher, mode and initial vectors.
    pub spec: CipherSpec,
    /// The hash of PBKDF2, the splitter and the digest.
    pub hash: Hash,
    /// Bytes from the start of the header to where the payload would be, were it behind the header.
    pub payload_offset: u64,
    /// What the master key is known by.
    pub digest: [u8; DIGEST_LEN],
    /// The salt of the digest.
    pub digest_salt: [u8; SALT_LEN],
    /// PBKDF2 iterations of the digest.
    pub digest_iterations: u32,
    /// The UUID, as it is written.
    pub uuid: String,
    /// The key slots.
    pub slots: [Slot; SLOTS],
}

impl LuksHeader {
    /// Parses the header in `bytes`, which lies at host byte `start` and has `area_len` bytes with its key material.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed), [`Unsupported`](imgfmt_core::ErrorKind::Unsupported),
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) or
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds), with the byte and the field.
    pub fn parse(bytes: &[u8], start: u64, area_len: u64) -> Result<Self> {
        let fields = Fields::new(bytes, start);
        let place = |name, at| Place { name, at: fields.host(at) };
        if fields.bytes(0, MAGIC.len())? != MAGIC {
            return Err(place("magic", 0).malformed("is not that of LUKS"));
        }
        let version = fields.u16(VERSION_AT)?;
        if version != VERSION {
            return Err(place("version", VERSION_AT).unsupported(format!("of LUKS is {version}, not 1")));
        }
        let key_len = fields.u32(KEY_BYTES_AT)?;
        let hash_name = name(&fields, "hash-spec", HASH_SPEC_AT)?;
        let spec = CipherSpec::parse(
            &name(&fields, "cipher-name", CIPHER_NAME_AT)?,
            &name(&fields, "cipher-mode", CIPHER_MODE_AT)?,
            key_len as usize,
        )
        .map_err(|e| e.at(fields.host(CIPHER_NAME_AT)))?;
        let header = Self {
            spec,
            hash: Hash::named(&hash_name).ok_or_else(|| {
                place("hash-spec", HASH_SPEC_AT).unsupported(format!("is {hash_name:?}, which is not known"))
            })?,
            payload_offset: u64::from(fields.u32(PAYLOAD_OFFSET_AT)?) * SECTOR_LEN as u64,
            digest: array(&fields, DIGEST_AT)?,
            digest_salt: array(&fields, DIGEST_SALT_AT)?,
            digest_iterations: iterations(&fields, "mk-digest-iter", DIGEST_ITERATIONS_AT)?,
            uuid: text(fields.bytes(UUID_AT, UUID_LEN)?),
            slots: slot::parse(&fields)?,
        };
        slot::check(&header.slots, &fields, header.material_len() as u64, area_len)?;
        Ok(header)
    }

    /// A header without a digest and with slots that are all inactive, laid out as others do.
    pub(crate) fn new(spec: CipherSpec, hash: Hash, uuid: String) -> Self {
        let step = (spec.key_len() as u64 * u64::from(STRIPES)).next_multiple_of(MATERIAL_ALIGN);
        let mut at = MATERIAL_ALIGN;
        let slots = std::array::from_fn(|_| {
            let slot = Slot { material_at: at, stripes: STRIPES, ..Slot::default() };
            at += step;
            slot
        });
        let (digest, digest_salt) = ([0; DIGEST_LEN], [0; SALT_LEN]);
        Self { spec, hash, payload_offset: at, digest, digest_salt, digest_iterations: 0, uuid, slots }
    }

    /// The header as it is stored.
    pub(crate) fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let sectors = |offset: u64| u32::try_from(offset / SECTOR_LEN as u64).unwrap_or(u32::MAX).to_be_bytes();
        put(0, &MAGIC);
        put(VERSION_AT, &VERSION.to_be_bytes());
        put(CIPHER_NAME_AT, self.spec.cipher.name().as_bytes());
        put(CIPHER_MODE_AT, self.spec.mode_text().as_bytes());
        put(HASH_SPEC_AT, self.hash.name().as_bytes());
        put(PAYLOAD_OFFSET_AT, &sectors(self.payload_offset));
        put(KEY_BYTES_AT, &u32::try_from(self.spec.key_len()).unwrap_or(u32::MAX).to_be_bytes());
        put(DIGEST_AT, &self.digest);
        put(DIGEST_SALT_AT, &self.digest_salt);
        put(DIGEST_ITERATIONS_AT, &self.digest_iterations.to_be_bytes());
        put(UUID_AT, &self.uuid.as_bytes()[..self.uuid.len().min(UUID_LEN - 1)]);
        for (index, slot) in self.slots.iter().enumerate() {
            put(SLOTS_AT + index * SLOT_LEN, &slot.to_bytes());
        }
        bytes
    }

    /// Checks that the key material of active slots has places that it may have in an area of `area_len` bytes, of a header at
    /// host byte `start`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) and [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds), with the byte and
    /// the field.
    pub fn check_slots(&self, start: u64, area_len: u64) -> Result<()> {
        let bytes = self.to_bytes();
        slot::check(&self.slots, &Fields::new(&bytes, start), self.material_len() as u64, area_len)
    }

    /// What `passphrase` opens: the cipher of the volume, with its master key. `read` gives bytes by their place behind the start
    /// of the header.
    ///
    /// # Errors
    ///
    /// [`Refused`](imgfmt_core::ErrorKind::Refused) where the passphrase opens no slot, and as `read`.
    pub fn unlock(
        &self,
        passphrase: &[u8],
        read: &dyn Fn(&mut [u8], u64) -> Result<()>,
    ) -> Result<Box<dyn SectorCipher>> {
        sector_cipher(&self.spec, &key::unlock(self, passphrase, read)?)
    }

    /// What QEMU shows of it, under its names.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        put("ivgen-alg", json!(self.spec.iv.name()));
        put("detached-header", json!(false));
        put("hash-alg", json!(self.hash.name()));
        put("cipher-alg", json!(self.spec.option_name()));
        put("uuid", json!(self.uuid));
        put("cipher-mode", json!(self.spec.mode.name()));
        put("slots", self.slots.into_iter().map(Slot::to_json).collect());
        put("payload-offset", json!(self.payload_offset));
        put("master-key-iters", json!(self.digest_iterations));
        if let IvSpec::Essiv(hash) = self.spec.iv {
            put("ivgen-hash-alg", json!(hash.name()));
        }
        shown
    }

    /// Bytes of the key material of a slot as they are encrypted: whole sectors.
    pub(crate) fn material_len(&self) -> usize {
        (self.spec.key_len() * STRIPES as usize).next_multiple_of(SECTOR_LEN)
    }
}

/// A count of PBKDF2 iterations, which sizes work.
///
/// # Errors
///
/// As [`LuksHeader::parse`].
pub(crate) fn iterations(fields: &Fields<'_>, name: &'static str, at: usize) -> Result<u32> {
    let place = Place { name, at: fields.host(at) };
    match fields.u32(at)? {
        0 => Err(place.malformed("is 0")),
        count => {
            Limits::check(name, u64::from(count), u64::from(MAX_ITERATIONS)).map_err(|e| place.tell(e))?;
            Ok(count)
        }
    }
}

/// One of the three names.
fn name(fields: &Fields<'_>, name: &'static str, at: usize) -> Result<String> {
    let bytes = fields.bytes(at, NAME_LEN)?;
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(NAME_LEN);
    match str::from_utf8(&bytes[..end]) {
        Ok(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Place { name, at: fields.host(at) }.malformed("is no name")),
    }
}

/// Text up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The `N` bytes at byte `at`.
///
/// # Errors
///
/// As [`Fields::bytes`].
pub(crate) fn array<const N: usize>(fields: &Fields<'_>, at: usize) -> Result<[u8; N]> {
    let mut array = [0; N];
    array.copy_from_slice(fields.bytes(at, N)?);
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{SLOT_ITERATIONS_AT, SLOT_MATERIAL_AT, SLOT_STRIPES_AT};
    use imgfmt_core::ErrorKind;

    fn valid() -> LuksHeader {
        let spec = CipherSpec::parse("aes", "xts-plain64", 64).unwrap();
        let mut header = LuksHeader::new(spec, Hash::Sha256, "5c3ca12c-0000-4000-8000-5d6a2c3d4e5f".to_owned());
        header.digest_iterations = 1000;
        header.slots[0] = Slot { active: true, iterations: 2000, salt: [7; SALT_LEN], ..header.slots[0] };
        header
    }

    #[test]
    fn a_header_is_laid_out_as_others_do_and_reads_back() {
        let header = valid();
        assert_eq!((header.slots[1].material_at, header.payload_offset), (262_144, 2_068_480));
        assert_eq!(LuksHeader::parse(&header.to_bytes(), 0, header.payload_offset).unwrap(), header);
    }

    #[test]
    fn every_broken_rule_is_told_with_its_byte_and_field() {
        use ErrorKind::{LimitExceeded, Malformed, OutOfBounds, Unsupported};
        for (at, value, kind, field) in [
            (0, 0, Malformed, "magic"),
            (VERSION_AT, 2 << 16, Unsupported, "version"),
            (HASH_SPEC_AT, 0, Malformed, "hash-spec"),
            (HASH_SPEC_AT, 0x7368_6131, Unsupported, "hash-spec"),
            (DIGEST_ITERATIONS_AT, 0, Malformed, "mk-digest-iter"),
            (DIGEST_ITERATIONS_AT, u32::MAX, LimitExceeded, "mk-digest-iter"),
            (SLOTS_AT, 1, Malformed, "active"),
            (SLOTS_AT + SLOT_ITERATIONS_AT, 0, Malformed, "iterations"),
            (SLOTS_AT + SLOT_ITERATIONS_AT, 12_000_001, LimitExceeded, "iterations"),
            (SLOTS_AT + SLOT_MATERIAL_AT, 1, Malformed, "key-material-offset"),
            (SLOTS_AT + SLOT_MATERIAL_AT, u32::MAX, OutOfBounds, "key-material-offset"),
            (SLOTS_AT + SLOT_STRIPES_AT, 3999, Malformed, "stripes"),
        ] {
            let mut bytes = valid().to_bytes();
            bytes[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
            let error = LuksHeader::parse(&bytes, 4096, 2_068_480).unwrap_err();
            assert_eq!((error.kind(), error.field_name()), (kind, Some(field)), "{error}");
            assert_eq!(error.offset(), Some(4096 + at as u64), "{error}");
        }
        for len in 0..HEADER_LEN {
            let error = LuksHeader::parse(&valid().to_bytes()[..len], 0, 1 << 30).unwrap_err();
            assert_eq!(error.kind(), OutOfBounds, "{len}");
        }
    }

    #[test]
    fn no_byte_makes_a_header_panic() {
        let bytes = valid().to_bytes();
        for at in 0..HEADER_LEN {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = bytes;
                bytes[at] = value;
                if let Ok(header) = LuksHeader::parse(&bytes, u64::MAX - 600, u64::MAX) {
                    assert!(header.material_len() <= 64 * STRIPES as usize);
                }
            }
        }
    }

    #[test]
    fn active_slots_lie_apart() {
        let mut header = valid();
        header.slots[3] = Slot { material_at: 4096 + 512, ..header.slots[0] };
        let error = LuksHeader::parse(&header.to_bytes(), 0, 1 << 30).unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Malformed, Some("key-material-offset")));
        header.slots[3].active = false;
        assert!(LuksHeader::parse(&header.to_bytes(), 0, 1 << 30).is_ok());
    }
}
