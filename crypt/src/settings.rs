//! From options to an encryption of which all parts fit together.

use std::time::{Duration, Instant};

use imgfmt_core::{Error, Options, Result};

use crate::hash::Hash;
use crate::layout::{MAX_ITERATIONS, MIN_ITERATIONS, SALT_LEN};
use crate::luks::LuksHeader;
use crate::named::Named;
use crate::spec::{Cipher, CipherSpec, IvSpec, MODES, Mode};

/// What a LUKS header is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LuksSettings {
    /// Cipher, mode and initial vectors.
    pub spec: CipherSpec,
    /// The hash of PBKDF2, the splitter and the digest.
    pub hash: Hash,
    /// How much work a passphrase is.
    pub work: Work,
}

/// How much work it is to try a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// So many milliseconds on this machine.
    Milliseconds(u32),
    /// So many iterations.
    Iterations(u32),
}

impl LuksSettings {
    /// What `options` say: `cipher-alg`, `cipher-mode`, `ivgen-alg`, `ivgen-hash-alg`, `hash-alg`, `iter-time` and
    /// `iterations`, with `prefix` before their names. All are optional.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for values and combinations that there are not.
    pub fn parse(options: &Options, prefix: &str) -> Result<Self> {
        let named = Named { options, prefix };
        let (cipher, cipher_key_len) = named.word("cipher-alg", CIPHER_ALGS, (Cipher::Aes, 32))?;
        let mode = named.word("cipher-mode", MODES, Mode::Xts)?;
        let essiv = named.word(IVGEN_HASH_ALG, Hash::NAMES, Hash::Sha256)?;
        let ivs = [("plain", IvSpec::Plain), ("plain64", IvSpec::Plain64), ("essiv", IvSpec::Essiv(essiv))];
        let iv = named.word(IVGEN_ALG, &ivs, IvSpec::Plain64)?;
        if named.has(IVGEN_HASH_ALG) && !matches!(iv, IvSpec::Essiv(_)) {
            let what = format!("{} is for {}=essiv", named.name(IVGEN_HASH_ALG), named.name(IVGEN_ALG));
            return Err(Error::invalid(what));
        }
        let spec = CipherSpec { cipher, cipher_key_len, mode, iv };
        spec.check().map_err(Error::invalid)?;
        if !spec.key_len().is_multiple_of(16) {
            // Its key material ends within a sector, and QEMU stops hard at that.
            let what = format!("{} in {} makes images that others cannot open", spec.option_name(), mode.name());
            return Err(Error::invalid(what));
        }
        let hash = named.word("hash-alg", Hash::NAMES, Hash::Sha256)?;
        Ok(Self { spec, hash, work: Work::parse(named)? })
    }

    /// Bytes of a new header with the key material of all of its slots.
    #[must_use]
    pub fn header_len(&self) -> u64 {
        LuksHeader::new(self.spec, self.hash, String::new()).payload_offset
    }

    /// The PBKDF2 iterations of the slot, and of the digest, which takes an eighth of the time.
    pub(crate) fn iterations(&self) -> (u32, u32) {
        self.work.iterations(self.hash, self.spec.key_len())
    }
}

impl Work {
    /// What the options `iter-time` and `iterations` say.
    pub(crate) fn parse(named: Named<'_>) -> Result<Self> {
        let number = |name: &str, least: u32, most: u32| {
            let Some(given) = named.number(name)? else { return Ok(None) };
            let fits = u32::try_from(given).ok().filter(|given| (least..=most).contains(given));
            let wrong = || Error::invalid(format!("{} is {given}, outside {least} to {most}", named.name(name)));
            fits.map(Some).ok_or_else(wrong)
        };
        let iterations = number(ITERATIONS, MIN_ITERATIONS, MAX_ITERATIONS)?;
        let time = number(ITER_TIME, 1, MAX_ITER_TIME)?;
        match (iterations, time) {
            (Some(_), Some(_)) => {
                let (iterations, time) = (named.name(ITERATIONS), named.name(ITER_TIME));
                Err(Error::invalid(format!("{iterations} and {time} exclude each other")))
            }
            (Some(count), None) => Ok(Self::Iterations(count)),
            (None, time) => Ok(Self::Milliseconds(time.unwrap_or(DEFAULT_ITER_TIME))),
        }
    }

    /// The PBKDF2 iterations of a slot for a key of `key_len` bytes, and of the digest, which takes an eighth of the time.
    pub(crate) fn iterations(self, hash: Hash, key_len: usize) -> (u32, u32) {
        match self {
            Self::Iterations(count) => (count, (count / 8).max(MIN_ITERATIONS)),
            Self::Milliseconds(time) => {
                let per_second = iterations_per_second(hash, key_len);
                let count = |time: u64| {
                    let count = (per_second * time / 1000).clamp(u64::from(MIN_ITERATIONS), u64::from(MAX_ITERATIONS));
                    u32::try_from(count).unwrap_or(MAX_ITERATIONS)
                };
                (count(u64::from(time)), count(u64::from(time) / 8))
            }
        }
    }
}

/// PBKDF2 iterations that this machine does in a second for a key of `key_len` bytes.
fn iterations_per_second(hash: Hash, key_len: usize) -> u64 {
    let mut key = vec![0; key_len];
    let mut count = MIN_ITERATIONS;
    loop {
        let start = Instant::now();
        hash.pbkdf2(b"how fast is it?", &[0; SALT_LEN], count, &mut key);
        let took = start.elapsed();
        if took >= MEASURED || count >= MAX_ITERATIONS / 2 {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
            return u64::from(count) * 1_000_000 / micros;
        }
        count *= 2;
    }
}

/// The values of the option `cipher-alg`, for help.
pub const CIPHER_ALG_VALUES: &str =
    "aes-128|aes-192|aes-256|serpent-128|serpent-192|serpent-256|twofish-128|twofish-192|twofish-256|cast5-128";
/// The values of the options `hash-alg` and `ivgen-hash-alg`, for help.
pub const HASH_VALUES: &str = "sha1|sha224|sha256|sha384|sha512|ripemd160";
/// The option with the milliseconds.
pub(crate) const ITER_TIME: &str = "iter-time";
/// The option with the count.
pub(crate) const ITERATIONS: &str = "iterations";
/// The option with the generator of initial vectors.
const IVGEN_ALG: &str = "ivgen-alg";
/// The option with the hash of ESSIV.
const IVGEN_HASH_ALG: &str = "ivgen-hash-alg";
/// The values of the option `cipher-alg`: cipher and bytes of a key.
const CIPHER_ALGS: &[(&str, (Cipher, usize))] = &[
    ("aes-128", (Cipher::Aes, 16)),
    ("aes-192", (Cipher::Aes, 24)),
    ("aes-256", (Cipher::Aes, 32)),
    ("serpent-128", (Cipher::Serpent, 16)),
    ("serpent-192", (Cipher::Serpent, 24)),
    ("serpent-256", (Cipher::Serpent, 32)),
    ("twofish-128", (Cipher::Twofish, 16)),
    ("twofish-192", (Cipher::Twofish, 24)),
    ("twofish-256", (Cipher::Twofish, 32)),
    ("cast5-128", (Cipher::Cast5, 16)),
];
/// Milliseconds by default, as QEMU's and cryptsetup's.
const DEFAULT_ITER_TIME: u32 = 2000;
/// Most milliseconds: a minute.
const MAX_ITER_TIME: u32 = 60_000;
/// How long is measured: enough that one interruption does not count.
const MEASURED: Duration = Duration::from_millis(40);
