//! From options to an encryption of which all parts fit together.

use std::fmt;

use imgfmt_core::{CreateRequest, Error, Options, Result};
use imgfmt_crypt::{LuksSettings, Random};
use zeroize::Zeroizing;

use super::options;

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
        let luks = if old {
            refuse_luks_options(options).map(|()| None)?
        } else {
            Some(LuksSettings::parse(options, options::PREFIX)?)
        };
        Ok(Some(Self { passphrase, random, luks }))
    }
}

/// Whether the options ask for the old AES, and not for LUKS; nothing where they ask for no encryption.
fn is_old(options: &Options) -> Result<Option<bool>> {
    let old = options.flag(options::ENCRYPTION.name, false)?;
    if !old && !options.names().any(|name| name.starts_with(options::PREFIX)) {
        return Ok(None);
    }
    let format = options.word(options::FORMAT.name, &[("luks", false), ("aes", true)], old)?;
    if old != format && old {
        return Err(Error::invalid("encryption=on means encrypt.format=aes"));
    }
    Ok(Some(format))
}

/// Bytes of the LUKS header, with all of its slots, of a new image with these options: none without encryption by LUKS.
///
/// # Errors
///
/// As [`EncryptionSettings::new`]. No secret is needed.
pub(crate) fn luks_len(options: &Options) -> Result<u64> {
    match is_old(options)? {
        Some(false) => Ok(LuksSettings::parse(options, options::PREFIX)?.header_len()),
        Some(true) | None => Ok(0),
    }
}

/// Refuses the options of LUKS.
fn refuse_luks_options(options: &Options) -> Result<()> {
    let of_both = [options::FORMAT.name, options::KEY_SECRET.name];
    match options.names().find(|name| name.starts_with(options::PREFIX) && !of_both.contains(name)) {
        Some(name) => Err(Error::invalid(format!("{name} is for encrypt.format=luks"))),
        None => Ok(()),
    }
}

/// Says nothing of the passphrase.
impl fmt::Debug for EncryptionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionSettings").field("luks", &self.luks).finish_non_exhaustive()
    }
}
