//! Encrypting a new image.

use std::cell::RefCell;

use imgfmt_core::{Result, Target};
use imgfmt_crypt::{SECTOR_LEN, SectorCipher, Volume};

use super::settings::EncryptionSettings;
use super::{CryptMethod, Numbering, aes_legacy};

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
            Some(luks) => {
                let Volume { header, header_len, cipher } = Volume::new(luks, &settings.passphrase, settings.random)?;
                Ok(Self { numbering: Numbering::Host, cipher, luks: header, luks_len: header_len, luks_at: 0 })
            }
            None => {
                let cipher = aes_legacy::cipher(&settings.passphrase)?;
                Ok(Self { numbering: Numbering::Guest, cipher, luks: Vec::new(), luks_len: 0, luks_at: 0 })
            }
        }
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

thread_local! {
    /// Encrypted bytes on their way to the target: one piece at a time in each thread, in memory that is used again.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
