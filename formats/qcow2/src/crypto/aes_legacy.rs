//! The old encryption: AES-128 in CBC with the passphrase as the key.
//!
//! Specification, "Header", `crypt_method` 1. The passphrase is cut or padded with zeros to 16 bytes, and initial vectors
//! are numbers of guest sectors. Nothing tells a wrong passphrase from the right one, short passphrases are found by
//! trying, and whoever can write the file can move sectors of the guest about; so nobody should make such images anew.

use imgfmt_core::Result;
use imgfmt_crypt::{Cipher, CipherSpec, IvSpec, Mode, SectorCipher, sector_cipher};

/// The cipher with `passphrase`.
///
/// # Errors
///
/// None: every passphrase is a key.
pub(super) fn cipher(passphrase: &[u8]) -> Result<Box<dyn SectorCipher>> {
    let mut key = zeroize::Zeroizing::new([0; KEY_LEN]);
    key.iter_mut().zip(passphrase).for_each(|(key, byte)| *key = *byte);
    let spec = CipherSpec { cipher: Cipher::Aes, cipher_key_len: KEY_LEN, mode: Mode::Cbc, iv: IvSpec::Plain64 };
    sector_cipher(&spec, &*key)
}

/// Bytes of the key.
const KEY_LEN: usize = 16;
