//! Hashes of the disk that a guest sees, whatever the image is made of.
//!
//! The engine reads and decodes on all threads; what it reads is hashed in guest order, and zeros are not read.

mod digest;
mod tree;
mod writer;

use std::fmt;

pub use digest::Hasher;
use writer::HashWriter;

use crate::convert::{Convert, KernelCopy};
use crate::image::Image;
use crate::{Error, Result};

/// A hash by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// SHA-256. FIPS 180-4.
    Sha256,
    /// SHA-512. FIPS 180-4.
    Sha512,
    /// BLAKE3 with 32 bytes.
    Blake3,
}

impl HashAlgorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha512, Self::Blake3];

    /// Its name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Blake3 => "blake3",
        }
    }

    /// The algorithm of that name.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) where there is none.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("the hash {name} is unknown; known are {known}"))
        })
    }
}

/// The hash of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashValue {
    /// Which hash.
    pub algorithm: HashAlgorithm,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl HashValue {
    /// The bytes in hexadecimal.
    #[must_use]
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        self.bytes.iter().fold(String::with_capacity(self.bytes.len() * 2), |mut hex, byte| {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// Hashes all of `image`, in the way that `engine` works.
///
/// # Errors
///
/// As [`Convert::run`].
pub fn hash(image: &dyn Image, algorithms: &[HashAlgorithm], engine: &Convert<'_>) -> Result<Vec<HashValue>> {
    if algorithms == [HashAlgorithm::Blake3] {
        return Ok(vec![tree::hash(image, &quiet(engine))?]);
    }
    let writer = HashWriter::new(algorithms, image.size());
    let values = writer.values();
    quiet(engine).run(image, Box::new(writer))?;
    values.take()
}

/// The engine, as it is right for hashing: zeros in what is read would only be told apart to be hashed all the same.
fn quiet<'a>(engine: &Convert<'a>) -> Convert<'a> {
    Convert { zero_grain: None, absent_from: None, kernel_copy: KernelCopy::Never, ..engine.clone() }
}
