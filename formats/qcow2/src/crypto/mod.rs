//! Encrypted guest bytes: LUKS1, and the old AES.
//!
//! ```text
//! header ── crypt_method ─┬─ 1: the passphrase is the key ──────────────────────────────┐
//!                         └─ 2: extension ─▶ LUKS header ─▶ key slot ─▶ master key ─────┤
//!                                                                                       ▼
//! guest bytes ◀──────────────────────────── read ◀──────────────────────────────── sectors
//! ```
//!
//! Only the bytes of plain data clusters are encrypted, sector by sector. The number of a sector, from which its initial
//! vector is made, is that of the host with LUKS and that of the guest with AES. Tables, zero clusters and compressed
//! clusters are not encrypted: QEMU reads a compressed cluster of an encrypted image as it is, and so does this.

mod aes_legacy;
#[cfg(test)]
mod kit;
mod method;
pub(crate) mod options;
mod read;
mod settings;
mod write;

use imgfmt_core::{OpenContext, Result, Storage, StorageExt};
use imgfmt_crypt::{HEADER_LEN, LuksHeader, SECTOR_LEN, SectorCipher};
use serde_json::{Value, json};

pub(crate) use method::CryptMethod;
pub(crate) use settings::{EncryptionSettings, luks_len};
pub(crate) use write::EncryptionWriter;

/// How the guest bytes of an open image are encrypted.
pub(crate) struct Encryption {
    /// What numbers a sector.
    numbering: Numbering,
    /// The LUKS header, where there is one.
    luks: Option<LuksHeader>,
    /// The cipher; none where the image was only opened to be described.
    cipher: Option<Box<dyn SectorCipher>>,
}

/// What numbers a sector, and so decides about its initial vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    /// Its place on the host.
    Host,
    /// Its place in the guest.
    Guest,
}

impl Encryption {
    /// What `method` says of the image in `storage`, opened with the secret that `context` names.
    ///
    /// # Errors
    ///
    /// [`Refused`](imgfmt_core::ErrorKind::Refused) without the right secret, unless the image is only described; and
    /// as [`LuksHeader::parse`].
    pub(crate) fn open(method: CryptMethod, storage: &dyn Storage, context: &OpenContext<'_>) -> Result<Option<Self>> {
        options::check_format(method, context)?;
        let opened = match method {
            CryptMethod::None => return Ok(None),
            CryptMethod::Aes => {
                let cipher = options::secret(context)?.map(aes_legacy::cipher).transpose()?;
                Self { numbering: Numbering::Guest, luks: None, cipher }
            }
            CryptMethod::Luks { offset, len } => Self::open_luks(offset, len, storage, context)?,
        };
        Ok(Some(opened))
    }

    /// Opens the LUKS header at host byte `offset`, which takes `len` bytes with its key material.
    fn open_luks(offset: u64, len: u64, storage: &dyn Storage, context: &OpenContext<'_>) -> Result<Self> {
        let mut bytes = vec![0; HEADER_LEN];
        let there = storage.read_padded(&mut bytes, offset)?;
        let header = LuksHeader::parse(&bytes[..there], offset, len)?;
        let secret = options::secret(context)?;
        let read = |buf: &mut [u8], at| storage.read_at(buf, offset + at);
        let cipher = secret.map(|secret| header.unlock(secret, &read)).transpose()?;
        Ok(Self { numbering: Numbering::Host, luks: Some(header), cipher })
    }

    /// Decrypts whole sectors, which lie at host byte `host` and show at guest byte `guest`.
    pub(crate) fn decrypt(&self, sectors: &mut [u8], host: u64, guest: u64) -> Result<()> {
        let cipher = self.cipher.as_ref().ok_or_else(options::no_secret)?;
        cipher.decrypt(sectors, self.numbering.number(host, guest));
        Ok(())
    }

    /// Encrypts whole sectors, which will lie at host byte `host` and show at guest byte `guest`.
    ///
    /// # Errors
    ///
    /// [`Refused`](imgfmt_core::ErrorKind::Refused) without a secret.
    pub(crate) fn encrypt(&self, sectors: &mut [u8], host: u64, guest: u64) -> Result<()> {
        let cipher = self.cipher.as_ref().ok_or_else(options::no_secret)?;
        cipher.encrypt(sectors, self.numbering.number(host, guest));
        Ok(())
    }

    /// What QEMU shows, under its names.
    pub(crate) fn to_json(&self) -> Value {
        let Some(luks) = &self.luks else {
            return json!({ "format": "aes" });
        };
        let mut shown = luks.to_json();
        shown.insert("format".to_owned(), json!("luks"));
        shown.into()
    }
}

impl Numbering {
    /// The number of the sector at host byte `host` and guest byte `guest`.
    fn number(self, host: u64, guest: u64) -> u64 {
        let at = match self {
            Self::Host => host,
            Self::Guest => guest,
        };
        at / SECTOR_LEN as u64
    }
}

/// Debug output without keys.
impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encryption").field("luks", &self.luks.is_some()).field("open", &self.cipher.is_some()).finish()
    }
}
