//! Hashes that are fed from front to back.

use sha2::{Digest as _, Sha256, Sha512};

use super::{HashAlgorithm, HashValue};

/// Several hashes of the same bytes, fed from front to back.
pub struct Hasher(Vec<State>);

/// One of them.
enum State {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-512.
    Sha512(Sha512),
    /// BLAKE3.
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// Hashes of nothing yet.
    #[must_use]
    pub fn new(algorithms: &[HashAlgorithm]) -> Self {
        let state = |algorithm: &HashAlgorithm| match algorithm {
            HashAlgorithm::Sha256 => State::Sha256(Sha256::new()),
            HashAlgorithm::Sha512 => State::Sha512(Sha512::new()),
            HashAlgorithm::Blake3 => State::Blake3(Box::new(blake3::Hasher::new())),
        };
        Self(algorithms.iter().map(state).collect())
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        for state in &mut self.0 {
            match state {
                State::Sha256(hash) => hash.update(bytes),
                State::Sha512(hash) => hash.update(bytes),
                State::Blake3(hash) => {
                    hash.update(bytes);
                }
            }
        }
    }

    /// Adds `len` zeros.
    pub fn zeros(&mut self, len: u64) {
        let zeros = vec![0; ZEROS_LEN.min(usize::try_from(len).unwrap_or(ZEROS_LEN))];
        let mut left = len;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
            self.update(&zeros[..part]);
            left -= part as u64;
        }
    }

    /// The hashes of all that was added.
    #[must_use]
    pub fn finish(self) -> Vec<HashValue> {
        let value = |state: State| match state {
            State::Sha256(hash) => HashValue { algorithm: HashAlgorithm::Sha256, bytes: hash.finalize().to_vec() },
            State::Sha512(hash) => HashValue { algorithm: HashAlgorithm::Sha512, bytes: hash.finalize().to_vec() },
            State::Blake3(hash) => {
                HashValue { algorithm: HashAlgorithm::Blake3, bytes: hash.finalize().as_bytes().to_vec() }
            }
        };
        self.0.into_iter().map(value).collect()
    }
}

/// Zeros that are hashed at once.
const ZEROS_LEN: usize = 1 << 20;
