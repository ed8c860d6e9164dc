//! From options to an encryption of which all parts fit together.

use std::fmt;
use std::time::{Duration, Instant};

use imgfmt_core::{CreateRequest, Error, Options, Result};
use zeroize::Zeroizing;

use super::hash::Hash;
use super::layout::{MAX_ITERATIONS, MIN_ITERATIONS, SALT_LEN};
use super::luks::LuksHeader;
use super::options;
use super::random::Random;
use super::spec::{Cipher, CipherSpec, IvSpec, MODES, Mode};

/// How a new image is to be encrypted.
#[derive(Clone)]
pub(crate) struct EncryptionSettings {
    /// The passphrase.
    pub(super) passphrase: Zeroizing<Vec<u8>>,
    /// Where keys and salts come from.
    pub(super) random: Random,
    /// The settings of LUKS; none for the old AES.
    pub(super) luks: Option<LuksSettings>,
}

/// What a LUKS header is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LuksSettings {
    /// Cipher, mode and initial vectors.
    pub(super) spec: CipherSpec,
    /// The hash of PBKDF2, the splitter and the digest.
    pub(super) hash: Hash,
    /// How much work a passphrase is.
    pub(super) work: Work,
}

/// How much work it is to try a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// So many milliseconds on this machine.
    Milliseconds(u32),
    /// So many iterations.
    Iterations(u32),
}

impl EncryptionSettings {
    /// What `request` asks for, if it asks for encryption; keys and salts are what `random` gives.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for values and combinations that there are not, and without a secret.
    pub(crate) fn new(request: &CreateRequest<'_>, random: Random) -> Result<Option<Self>> {
        let options = request.options;
        let Some(old) = is_old(options)? else { return Ok(None) };
        if request.compress {
            return Err(Error::invalid(
                "compression and encryption exclude each other: compressed clusters are not encrypted",
            ));
        }
        let id = options.get(options::KEY_SECRET.name);
        let id = id.ok_or_else(|| Error::invalid("an encrypted image needs encrypt.key-secret=ID"))?;
        let passphrase = Zeroizing::new(request.secrets.get(id)?.to_vec());
        let luks = if old { refuse_luks_options(options).map(|()| None)? } else { Some(LuksSettings::new(options)?) };
        Ok(Some(Self { passphrase, random, luks }))
    }
}

impl LuksSettings {
    /// What `options` say.
    fn new(options: &Options) -> Result<Self> {
        let (cipher, cipher_key_len) = options.word(options::CIPHER_ALG.name, CIPHER_ALGS, (Cipher::Aes, 32))?;
        let mode = options.word(options::CIPHER_MODE.name, MODES, Mode::Xts)?;
        let essiv = options.word(options::IVGEN_HASH_ALG.name, Hash::NAMES, Hash::Sha256)?;
        let ivs = [("plain", IvSpec::Plain), ("plain64", IvSpec::Plain64), ("essiv", IvSpec::Essiv(essiv))];
        let iv = options.word(options::IVGEN_ALG.name, &ivs, IvSpec::Plain64)?;
        if options.get(options::IVGEN_HASH_ALG.name).is_some() && !matches!(iv, IvSpec::Essiv(_)) {
            return Err(Error::invalid("encrypt.ivgen-hash-alg is for encrypt.ivgen-alg=essiv"));
        }
        let spec = CipherSpec { cipher, cipher_key_len, mode, iv };
        spec.check().map_err(Error::invalid)?;
        if !spec.key_len().is_multiple_of(16) {
            // Its key material ends within a sector, and QEMU stops hard at that.
            let what = format!("{} in {} makes images that others cannot open", spec.option_name(), mode.name());
            return Err(Error::invalid(what));
        }
        let hash = options.word(options::HASH_ALG.name, Hash::NAMES, Hash::Sha256)?;
        Ok(Self { spec, hash, work: work(options)? })
    }

    /// The PBKDF2 iterations of the slot, and of the digest, which takes an eighth of the time.
    pub(super) fn iterations(&self) -> (u32, u32) {
        match self.work {
            Work::Iterations(count) => (count, (count / 8).max(MIN_ITERATIONS)),
            Work::Milliseconds(time) => {
                let per_second = iterations_per_second(self.hash, self.spec.key_len());
                let count = |time: u64| {
                    let count = (per_second * time / 1000).clamp(u64::from(MIN_ITERATIONS), u64::from(MAX_ITERATIONS));
                    u32::try_from(count).unwrap_or(MAX_ITERATIONS)
                };
                (count(u64::from(time)), count(u64::from(time) / 8))
            }
        }
    }
}

/// Bytes of the LUKS header, with all of its slots, of a new image with these options: none without encryption by LUKS.
///
/// # Errors
///
/// As [`EncryptionSettings::new`]. No secret is needed.
pub(crate) fn luks_len(options: &Options) -> Result<u64> {
    match is_old(options)? {
        Some(false) => {
            let LuksSettings { spec, hash, .. } = LuksSettings::new(options)?;
            Ok(LuksHeader::new(spec, hash, String::new()).payload_offset)
        }
        Some(true) | None => Ok(0),
    }
}

/// Whether the options ask for the old AES, and not for LUKS; nothing where they ask for no encryption.
fn is_old(options: &Options) -> Result<Option<bool>> {
    let old = options.flag(options::ENCRYPTION.name, false)?;
    if !old && !options.names().any(|name| name.starts_with("encrypt.")) {
        return Ok(None);
    }
    let format = options.word(options::FORMAT.name, &[("luks", false), ("aes", true)], old)?;
    if old != format && old {
        return Err(Error::invalid("encryption=on means encrypt.format=aes"));
    }
    Ok(Some(format))
}

/// Refuses the options of LUKS.
fn refuse_luks_options(options: &Options) -> Result<()> {
    let of_both = [options::FORMAT.name, options::KEY_SECRET.name];
    match options.names().find(|name| name.starts_with("encrypt.") && !of_both.contains(name)) {
        Some(name) => Err(Error::invalid(format!("{name} is for encrypt.format=luks"))),
        None => Ok(()),
    }
}

/// The options `encrypt.iter-time` and `encrypt.iterations`.
fn work(options: &Options) -> Result<Work> {
    let number = |name: &'static str, least: u32, most: u32| {
        let Some(given) = options.number(name)? else { return Ok(None) };
        let fits = u32::try_from(given).ok().filter(|given| (least..=most).contains(given));
        fits.map(Some).ok_or_else(|| Error::invalid(format!("{name} is {given}, outside {least} to {most}")))
    };
    let iterations = number(options::ITERATIONS.name, MIN_ITERATIONS, MAX_ITERATIONS)?;
    let time = number(options::ITER_TIME.name, 1, MAX_ITER_TIME)?;
    match (iterations, time) {
        (Some(_), Some(_)) => Err(Error::invalid("encrypt.iterations and encrypt.iter-time exclude each other")),
        (Some(count), None) => Ok(Work::Iterations(count)),
        (None, time) => Ok(Work::Milliseconds(time.unwrap_or(DEFAULT_ITER_TIME))),
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

/// Says nothing of the passphrase.
impl fmt::Debug for EncryptionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionSettings").field("luks", &self.luks).finish_non_exhaustive()
    }
}

/// The values of `encrypt.cipher-alg`: cipher and bytes of a key.
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
