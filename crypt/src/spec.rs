//! What a disk is encrypted with, by the names that headers and options use.

use imgfmt_core::{Error, Result};

use crate::hash::Hash;

/// A cipher, its mode, and how each sector gets its initial vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherSpec {
    /// The cipher.
    pub cipher: Cipher,
    /// Bytes of one key of the cipher; XTS takes two.
    pub cipher_key_len: usize,
    /// How blocks are put together.
    pub mode: Mode,
    /// What the initial vectors are made from.
    pub iv: IvSpec,
}

/// A block cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES, with keys of 16, 24 or 32 bytes.
    Aes,
    /// Serpent, with the same.
    Serpent,
    /// Twofish, with the same.
    Twofish,
    /// CAST5 (CAST-128), with keys of 16 bytes and blocks of 8.
    Cast5,
}

/// How the blocks of a sector are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each block by itself; shows where blocks are alike.
    Ecb,
    /// Each block with the one before.
    Cbc,
    /// With a key stream.
    Ctr,
    /// With a tweak for each block: IEEE 1619.
    Xts,
}

/// What the initial vector of a sector is made from: always its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IvSpec {
    /// The number's lower 32 bits, little-endian.
    Plain,
    /// The number, little-endian.
    Plain64,
    /// The number, encrypted with the hash of the key.
    Essiv(Hash),
}

impl CipherSpec {
    /// From `cipher-name`, `cipher-mode` and `key-bytes` of a LUKS header.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for what is not known,
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for a key that the cipher does not take.
    pub(crate) fn parse(name: &str, mode: &str, key_len: usize) -> Result<Self> {
        let unknown = |what: &str, value: &str| Error::unsupported(format!("{what} {value:?} is not known"));
        let cipher = find(CIPHERS, name).ok_or_else(|| unknown("the cipher", name))?;
        let (mode_name, iv_name) = mode.split_once('-').unwrap_or((mode, "plain"));
        let mode = find(MODES, mode_name).ok_or_else(|| unknown("the cipher mode", mode_name))?;
        let iv = match iv_name.split_once(':') {
            Some(("essiv", hash)) => IvSpec::Essiv(Hash::named(hash).ok_or_else(|| unknown("the hash", hash))?),
            None if iv_name == "plain" => IvSpec::Plain,
            None if iv_name == "plain64" => IvSpec::Plain64,
            // QEMU writes the name of a hash behind every generator that it was given one for; only `essiv` has a use for it.
            Some(("plain", hash)) if Hash::named(hash).is_some() => IvSpec::Plain,
            Some(("plain64", hash)) if Hash::named(hash).is_some() => IvSpec::Plain64,
            _ => return Err(unknown("the generator of initial vectors", iv_name)),
        };
        let keys = mode.keys();
        let spec = Self { cipher, cipher_key_len: key_len / keys, mode, iv };
        if !key_len.is_multiple_of(keys) {
            return Err(Error::malformed(format!("a key of {key_len} bytes cannot be cut into {keys} alike")));
        }
        spec.check().map_err(Error::malformed)?;
        Ok(spec)
    }

    /// Checks that the parts fit together; an error says why they do not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { cipher, cipher_key_len, mode, iv } = *self;
        if !cipher.key_lens().contains(&cipher_key_len) {
            return Err(format!("{} does not take a key of {cipher_key_len} bytes", cipher.name()));
        }
        if mode == Mode::Xts && cipher == Cipher::Cast5 {
            return Err("xts needs a cipher with blocks of 16 bytes, and cast5 has 8".to_owned());
        }
        if let IvSpec::Essiv(hash) = iv {
            let digest_len = hash.digest(&[]).len();
            if !cipher.key_lens().contains(&digest_len) {
                let (cipher, hash) = (cipher.name(), hash.name());
                return Err(format!(
                    "essiv needs a hash as long as a key of {cipher}, and {hash} has {digest_len} bytes"
                ));
            }
        }
        Ok(())
    }

    /// Bytes of the whole key.
    pub(crate) fn key_len(&self) -> usize {
        self.cipher_key_len * self.mode.keys()
    }

    /// The value of the option `encrypt.cipher-alg`.
    pub(crate) fn option_name(&self) -> String {
        format!("{}-{}", self.cipher.name(), self.cipher_key_len * 8)
    }

    /// The `cipher-mode` of a LUKS header.
    pub(crate) fn mode_text(&self) -> String {
        match self.iv {
            IvSpec::Essiv(hash) => format!("{}-essiv:{}", self.mode.name(), hash.name()),
            iv => format!("{}-{}", self.mode.name(), iv.name()),
        }
    }
}

impl Cipher {
    /// The name in a LUKS header.
    pub(crate) fn name(self) -> &'static str {
        name_of(CIPHERS, self)
    }

    /// Bytes of the keys that it takes.
    fn key_lens(self) -> &'static [usize] {
        match self {
            Self::Cast5 => &[16],
            Self::Aes | Self::Serpent | Self::Twofish => &[16, 24, 32],
        }
    }
}

impl Mode {
    /// The name in headers and options.
    pub(crate) fn name(self) -> &'static str {
        name_of(MODES, self)
    }

    /// How many keys of the cipher it takes.
    pub(crate) fn keys(self) -> usize {
        if self == Self::Xts { 2 } else { 1 }
    }
}

impl IvSpec {
    /// The name in headers and options, without the hash.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Plain64 => "plain64",
            Self::Essiv(_) => "essiv",
        }
    }
}

/// The ciphers by name.
const CIPHERS: &[(&str, Cipher)] =
    &[("aes", Cipher::Aes), ("serpent", Cipher::Serpent), ("twofish", Cipher::Twofish), ("cast5", Cipher::Cast5)];
/// The modes by name.
pub(crate) const MODES: &[(&str, Mode)] =
    &[("ecb", Mode::Ecb), ("cbc", Mode::Cbc), ("ctr", Mode::Ctr), ("xts", Mode::Xts)];

/// The value called `name`.
fn find<T: Copy>(words: &[(&str, T)], name: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == name).map(|(_, value)| *value)
}

/// The name of `value`.
fn name_of<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgfmt_core::ErrorKind;

    #[test]
    fn what_a_header_says_goes_both_ways() {
        for (name, mode, key_len) in [
            ("aes", "xts-plain64", 64),
            ("aes", "cbc-essiv:sha256", 16),
            ("serpent", "xts-plain", 48),
            ("twofish", "cbc-plain64", 24),
            ("cast5", "ctr-plain64", 16),
        ] {
            let spec = CipherSpec::parse(name, mode, key_len).unwrap();
            assert_eq!((spec.cipher.name(), spec.mode_text().as_str(), spec.key_len()), (name, mode, key_len));
        }
        assert_eq!(CipherSpec::parse("aes", "ecb", 16).unwrap().mode, Mode::Ecb);
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        for (name, mode, key_len, kind) in [
            ("des", "cbc-plain", 8, ErrorKind::Unsupported),
            ("aes", "lrw-benbi", 32, ErrorKind::Unsupported),
            ("aes", "cbc-benbi", 32, ErrorKind::Unsupported),
            ("aes", "cbc-essiv", 32, ErrorKind::Unsupported),
            ("aes", "cbc-essiv:whirlpool", 32, ErrorKind::Unsupported),
            ("aes", "cbc-essiv:sha1", 32, ErrorKind::Malformed),
            ("aes", "xts-plain64", 33, ErrorKind::Malformed),
            ("aes", "xts-plain64", 16, ErrorKind::Malformed),
            ("cast5", "xts-plain64", 32, ErrorKind::Malformed),
            ("cast5", "cbc-plain64", 0, ErrorKind::Malformed),
        ] {
            assert_eq!(CipherSpec::parse(name, mode, key_len).unwrap_err().kind(), kind, "{name}-{mode} {key_len}");
        }
    }
}
