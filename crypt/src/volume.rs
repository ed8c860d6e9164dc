//! A new master key, and the header that keeps it.

use imgfmt_core::Result;
use zeroize::Zeroizing;

use crate::cipher::{SectorCipher, sector_cipher};
use crate::key;
use crate::luks::LuksHeader;
use crate::random::Random;
use crate::settings::LuksSettings;

/// What encrypts a new image.
pub struct Volume {
    /// The header and the key material of its first slot, with the bytes between.
    pub header: Vec<u8>,
    /// Bytes that the header takes with all of its slots.
    pub header_len: u64,
    /// The cipher, with the master key.
    pub cipher: Box<dyn SectorCipher>,
}

impl Volume {
    /// Makes a master key that `passphrase` opens, with what `random` gives.
    ///
    /// # Errors
    ///
    /// As `random`.
    pub fn new(settings: &LuksSettings, passphrase: &[u8], random: Random) -> Result<Self> {
        let mut id = [0; 16];
        random(&mut id)?;
        let mut header = LuksHeader::new(settings.spec, settings.hash, uuid(id));
        let mut master = Zeroizing::new(vec![0; settings.spec.key_len()]);
        random(&mut master)?;
        let (slot_iterations, digest_iterations) = settings.iterations();
        random(&mut header.digest_salt)?;
        header.digest_iterations = digest_iterations;
        header.digest = key::digest(&header, &master);
        let material = key::seal(&mut header, 0, &master, passphrase, slot_iterations, random)?;
        let mut bytes = header.to_bytes().to_vec();
        bytes.resize(usize::try_from(header.slots[0].material_at).unwrap_or(usize::MAX), 0);
        bytes.extend_from_slice(&material);
        let cipher = sector_cipher(&settings.spec, &master)?;
        Ok(Self { header: bytes, header_len: header.payload_offset, cipher })
    }
}

/// A random UUID, version 4, as text. RFC 9562, section 5.4.
fn uuid(mut id: [u8; 16]) -> String {
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(id));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Debug output without keys.
impl std::fmt::Debug for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volume").field("header_len", &self.header_len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_that_it_is_random() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
