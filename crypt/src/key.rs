//! From a passphrase to the master key, and back into a slot.

use imgfmt_core::{Error, Result};
use zeroize::Zeroizing;

use crate::afsplit;
use crate::cipher::sector_cipher;
use crate::hash::Hash;
use crate::layout::{DIGEST_LEN, STRIPES};
use crate::luks::LuksHeader;
use crate::random::Random;
use crate::slot::Slot;
use crate::spec::CipherSpec;

/// A key, wiped when it is no longer used.
pub(crate) type Key = Zeroizing<Vec<u8>>;

/// Finds the master key that `passphrase` opens; `read` gives bytes by their place behind the start of the header.
///
/// # Errors
///
/// [`Refused`](imgfmt_core::ErrorKind::Refused) where the passphrase opens no slot, and as `read`.
pub(crate) fn unlock(
    header: &LuksHeader,
    passphrase: &[u8],
    read: &dyn Fn(&mut [u8], u64) -> Result<()>,
) -> Result<Key> {
    for slot in header.slots.iter().filter(|slot| slot.active) {
        if let Some(key) = unlock_slot(header, slot, passphrase, read)? {
            return Ok(key);
        }
    }
    Err(Error::refused("the secret is not the passphrase of any key slot"))
}

/// The master key, where `passphrase` opens that slot.
///
/// # Errors
///
/// As `read`.
pub(crate) fn unlock_slot(
    header: &LuksHeader,
    slot: &Slot,
    passphrase: &[u8],
    read: &dyn Fn(&mut [u8], u64) -> Result<()>,
) -> Result<Option<Key>> {
    let mut material = Zeroizing::new(vec![0; header.material_len()]);
    read(&mut material, slot.material_at)?;
    let key = open_slot(header, slot, passphrase, &mut material)?;
    // What is compared is no secret: the header has it, and an attacker who can time this has the header.
    Ok((digest(header, &key) == header.digest).then_some(key))
}

/// Puts `key` into slot number `index` of `header`, and returns the key material to store there.
///
/// # Errors
///
/// As `random`, and where the cipher does not take the key.
pub(crate) fn seal(
    header: &mut LuksHeader,
    index: usize,
    key: &[u8],
    passphrase: &[u8],
    iterations: u32,
    random: Random,
) -> Result<Vec<u8>> {
    let slot = &mut header.slots[index];
    (slot.active, slot.iterations, slot.stripes) = (true, iterations, STRIPES);
    random(&mut slot.salt)?;
    let slot = *slot;
    let mut material = afsplit::split(header.hash, key, STRIPES as usize, random)?;
    material.resize(header.material_len(), 0);
    let cipher = sector_cipher(&header.spec, &slot_key(&header.spec, header.hash, &slot, passphrase))?;
    cipher.encrypt(&mut material, 0);
    Ok(std::mem::take(&mut *material))
}

/// What a header with this salt and count knows the master key `key` by.
pub(crate) fn digest(header: &LuksHeader, key: &[u8]) -> [u8; DIGEST_LEN] {
    let mut digest = [0; DIGEST_LEN];
    header.hash.pbkdf2(key, &header.digest_salt, header.digest_iterations, &mut digest);
    digest
}

/// What `passphrase` makes of the key material of a slot: the master key, if it is the right one.
fn open_slot(header: &LuksHeader, slot: &Slot, passphrase: &[u8], material: &mut [u8]) -> Result<Key> {
    let cipher = sector_cipher(&header.spec, &slot_key(&header.spec, header.hash, slot, passphrase))?;
    cipher.decrypt(material, 0);
    let key_len = header.spec.key_len();
    Ok(afsplit::merge(header.hash, key_len, &material[..key_len * STRIPES as usize]))
}

/// The key of a slot's key material.
fn slot_key(spec: &CipherSpec, hash: Hash, slot: &Slot, passphrase: &[u8]) -> Key {
    let mut key = Zeroizing::new(vec![0; spec.key_len()]);
    hash.pbkdf2(passphrase, &slot.salt, slot.iterations, &mut key);
    key
}

#[cfg(test)]
mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;
    use crate::random::counting;

    #[test]
    fn a_sealed_key_opens_with_its_passphrase_alone() {
        let spec = CipherSpec::parse("aes", "cbc-essiv:sha256", 16).unwrap();
        let mut header = LuksHeader::new(spec, Hash::Sha1, String::new());
        let key = [0x5a; 16];
        header.digest_iterations = 10;
        header.digest = digest(&header, &key);
        let materials = [
            seal(&mut header, 0, &key, b"one", 10, counting).unwrap(),
            seal(&mut header, 1, &key, b"two", 10, counting).unwrap(),
        ];
        let at = [header.slots[0].material_at, header.slots[1].material_at];
        let read = |buf: &mut [u8], offset: u64| {
            buf.copy_from_slice(&materials[at.iter().position(|&at| at == offset).unwrap()]);
            Ok(())
        };
        assert_eq!(**unlock(&header, b"one", &read).unwrap(), key);
        assert_eq!(**unlock(&header, b"two", &read).unwrap(), key);
        assert_eq!(unlock(&header, b"three", &read).unwrap_err().kind(), ErrorKind::Refused);
    }
}
