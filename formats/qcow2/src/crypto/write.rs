//! Encrypting a new image.

use std::cell::RefCell;

use imgfmt_core::{Result, Target};
use zeroize::Zeroizing;

use super::cipher::{SectorCipher, sector_cipher};
use super::layout::SECTOR_LEN;
use super::luks::LuksHeader;
use super::random::Random;
use super::settings::{EncryptionSettings, LuksSettings};
use super::{CryptMethod, Numbering, aes_legacy, key};

/// Encrypts what is stored in a new image.
pub(crate) struct EncryptionWriter {
    /// What numbers a sector.
    numbering: Numbering,
    /// The cipher.
    cipher: Box<dyn SectorCipher>,
    /// The LUKS header and the key material of its first slot, with the bytes between.
    luks: Vec<u8>,
    /// Bytes that the LUKS header takes with all of its slots.
    luks_len: u64,
    /// Where the LUKS header is put.
    luks_at: u64,
}

impl EncryptionWriter {
    /// Makes keys for a new image.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io) where there are no random bytes.
    pub(crate) fn new(settings: &EncryptionSettings) -> Result<Self> {
        match &settings.luks {
            Some(luks) => Self::luks(luks, &settings.passphrase, settings.random),
            None => {
                let cipher = aes_legacy::cipher(&settings.passphrase)?;
                Ok(Self { numbering: Numbering::Guest, cipher, luks: Vec::new(), luks_len: 0, luks_at: 0 })
            }
        }
    }

    /// Makes a master key and the LUKS header that keeps it.
    fn luks(settings: &LuksSettings, passphrase: &[u8], random: Random) -> Result<Self> {
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
        let mut luks = header.to_bytes().to_vec();
        luks.resize(usize::try_from(header.slots[0].material_at).unwrap_or(usize::MAX), 0);
        luks.extend_from_slice(&material);
        let cipher = sector_cipher(&settings.spec, &master)?;
        Ok(Self { numbering: Numbering::Host, cipher, luks, luks_len: header.payload_offset, luks_at: 0 })
    }

    /// The LUKS header, once: how many bytes it takes with all slots, and those of them that are used.
    pub(crate) fn take_header(&mut self) -> Option<(u64, Vec<u8>)> {
        (!self.luks.is_empty()).then(|| (self.luks_len, std::mem::take(&mut self.luks)))
    }

    /// Tells at which host byte the LUKS header is.
    pub(crate) fn put_header_at(&mut self, host: u64) {
        self.luks_at = host;
    }

    /// What the header says of the encryption.
    pub(crate) fn method(&self) -> CryptMethod {
        match self.numbering {
            Numbering::Guest => CryptMethod::Aes,
            Numbering::Host => CryptMethod::Luks { offset: self.luks_at, len: self.luks_len },
        }
    }

    /// Encrypts `bytes`, whole sectors of the guest from byte `guest` on, and writes them to host byte `host`.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io) from the target.
    pub(crate) fn store(&self, target: &dyn Target, bytes: &[u8], host: u64, guest: u64) -> Result<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            scratch.extend_from_slice(bytes);
            // The end of a disk is padded by the caller; padding here keeps a stray call from showing plain bytes.
            scratch.resize(bytes.len().next_multiple_of(SECTOR_LEN), 0);
            self.cipher.encrypt(scratch, self.numbering.number(host, guest));
            target.write_at(scratch, host)
        })
    }
}

/// A random UUID, version 4, as text. RFC 9562, section 5.4.
fn uuid(mut id: [u8; 16]) -> String {
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(id));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

thread_local! {
    /// Encrypted bytes on their way to the target: one piece at a time in each thread, in memory that is used again.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
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
