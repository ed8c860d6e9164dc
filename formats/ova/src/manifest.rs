//! Hashes of the files of an appliance: DSP0243 1.1.1, section 5.1.
//!
//! Lines of the form `SHA256(name)= digits`.

use std::collections::HashSet;
use std::fmt;

use imgfmt_core::{Error, Result, Storage};
use sha2::digest::DynDigest;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The hashes of a manifest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manifest(Vec<Entry>);

/// The hash of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// How it was made.
    algorithm: Algorithm,
    /// The name of the file.
    name: String,
    /// The hash in hexadecimal digits, in lower case.
    hash: String,
}

/// How a hash is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Algorithm {
    /// SHA-1, of OVF 1.0.
    Sha1,
    /// SHA-256, of OVF 2.0.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Manifest {
    /// Parses a manifest. Each of its hashes costs a pass over the file, so one of a kind is enough.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed), [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for other
    /// algorithms.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|e| Error::malformed("the manifest is not UTF-8").because(e))?;
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let entry =
                Entry::parse(line.trim()).map_err(|e| e.context(format!("line {} of the manifest", number + 1)))?;
            if !seen.insert((entry.algorithm, entry.name.clone())) {
                let what = format!("the manifest has two hashes of one kind for {}", entry.name);
                return Err(Error::malformed(what));
            }
            entries.push(entry);
        }
        Ok(Self(entries))
    }

    /// The algorithm of the first hash.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        self.0.first().map(|entry| entry.algorithm)
    }

    /// Whether there is a hash of the file called `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|entry| entry.name == name)
    }

    /// Compares the file called `name` with its hashes, if it has any. Reads all of it.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where they differ, and what reading the file says.
    pub(crate) fn check(&self, name: &str, file: &dyn Storage) -> Result<()> {
        for entry in self.0.iter().filter(|entry| entry.name == name) {
            let real = entry.algorithm.hash(file)?;
            if real != entry.hash {
                let what = format!("{name} is not what the manifest says: its {} is {real}", entry.algorithm);
                return Err(Error::malformed(what));
            }
        }
        Ok(())
    }
}

impl Entry {
    /// Parses a line.
    fn parse(line: &str) -> Result<Self> {
        let wrong = || Error::malformed(format!("is not of the form SHA256(name)= digits: {line:?}"));
        let (front, hash) = line.rsplit_once('=').ok_or_else(wrong)?;
        let (algorithm, name) =
            front.trim_end().strip_suffix(')').and_then(|front| front.split_once('(')).ok_or_else(wrong)?;
        let algorithm = Algorithm::parse(algorithm.trim())?;
        let hash = hash.trim().to_ascii_lowercase();
        let is_hash = hash.len() == algorithm.digits() && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            return Err(wrong());
        }
        let name = name.strip_prefix("./").unwrap_or(name);
        Ok(Self { algorithm, name: name.to_owned(), hash })
    }
}

impl Algorithm {
    /// The algorithm of that name.
    fn parse(name: &str) -> Result<Self> {
        match name.to_ascii_uppercase().replace('-', "").as_str() {
            "SHA1" => Ok(Self::Sha1),
            "SHA256" => Ok(Self::Sha256),
            "SHA384" => Ok(Self::Sha384),
            "SHA512" => Ok(Self::Sha512),
            _ => Err(Error::unsupported(format!("the algorithm {name} is not known"))),
        }
    }

    /// The hash of nothing yet.
    pub(crate) fn start(self) -> Box<dyn DynDigest + Send> {
        match self {
            Self::Sha1 => Box::new(sha1::Sha1::new()),
            Self::Sha256 => Box::new(Sha256::new()),
            Self::Sha384 => Box::new(Sha384::new()),
            Self::Sha512 => Box::new(Sha512::new()),
        }
    }

    /// Hexadecimal digits of a hash.
    fn digits(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    /// The hash of all of `file`.
    fn hash(self, file: &dyn Storage) -> Result<String> {
        let mut digest = self.start();
        let mut buffer = vec![0; BUFFER_LEN];
        let mut at = 0;
        while at < file.len() {
            let len = usize::try_from(file.len() - at).map_or(buffer.len(), |rest| rest.min(buffer.len()));
            file.read_at(&mut buffer[..len], at)?;
            digest.update(&buffer[..len]);
            at += len as u64;
        }
        Ok(digits(&digest.finalize_reset()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
        })
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn digits(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Bytes that are hashed at once.
const BUFFER_LEN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use imgfmt_core::MemoryStorage;

    use super::*;

    #[test]
    fn hashes_are_compared_in_any_spelling() {
        let text = "SHA1(a.ovf)= A9993E364706816ABA3E25717850C26C9CD0D89D\r\n\r\n\
            SHA256 (./b (1).vmdk) = ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        let abc = MemoryStorage::new(*b"abc");
        for name in ["a.ovf", "b (1).vmdk"] {
            assert!(manifest.has(name));
            manifest.check(name, &abc).unwrap();
            assert!(manifest.check(name, &MemoryStorage::new(*b"abd")).is_err());
        }
        manifest.check("c", &abc).unwrap();
        assert!(!manifest.has("c"));
    }

    #[test]
    fn a_file_is_hashed_once_for_each_algorithm() {
        let line = "SHA1(a)= a9993e364706816aba3e25717850c26c9cd0d89d\n";
        assert!(Manifest::parse(line.repeat(2).as_bytes()).is_err());
        let other = "SHA256(a)= ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(Manifest::parse(format!("{line}{other}").as_bytes()).is_ok());
    }

    #[test]
    fn a_line_that_is_no_hash_is_refused() {
        for line in ["SHA1(a)= 12", "MD5(a)= 900150983cd24fb0d6963f7d28e17f72", "SHA1 a 12", "x"] {
            assert!(Manifest::parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
