//! The options about encryption, for opening and for creating.

use imgfmt_core::{Error, OpenContext, OptionSpec, Result};
use imgfmt_crypt::{CIPHER_ALG_VALUES, HASH_VALUES};

use super::method::CryptMethod;

/// The secret that the options of `context` name; none where the image is only described, and so none is needed.
///
/// # Errors
///
/// [`Refused`](imgfmt_core::ErrorKind::Refused) where none is named and the image is to be read, and as
/// [`Secrets::get`](imgfmt_core::Secrets::get).
pub(crate) fn secret<'a>(context: &OpenContext<'a>) -> Result<Option<&'a [u8]>> {
    if context.describe_only {
        return Ok(None);
    }
    let named = context.options.get(KEY_SECRET.name).or_else(|| context.options.get(BARE_KEY_SECRET));
    context.secrets.get(named.ok_or_else(no_secret)?).map(Some)
}

/// The error of an image that needs a secret and has none.
pub(crate) fn no_secret() -> Error {
    Error::refused("the image is encrypted; give its secret with encrypt.key-secret=ID")
}

/// Checks that the option `encrypt.format` is that of the image.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where it is not.
pub(super) fn check_format(method: CryptMethod, context: &OpenContext<'_>) -> Result<()> {
    match (context.options.get(FORMAT.name), method.format()) {
        (Some(said), Some(found)) if said != found => {
            Err(Error::invalid(format!("encrypt.format is {said}, but the image is encrypted with {found}")))
        }
        (Some(said), None) => Err(Error::invalid(format!("encrypt.format is {said}, but the image is not encrypted"))),
        _ => Ok(()),
    }
}

/// What the names of these options begin with, but for [`ENCRYPTION`].
pub(crate) const PREFIX: &str = "encrypt.";

/// Options for opening.
pub(crate) const OPEN_OPTIONS: &[OptionSpec] = &[
    KEY_SECRET,
    OptionSpec { name: BARE_KEY_SECRET, values: "ID", default: "", help: "the same as encrypt.key-secret" },
    OptionSpec {
        name: FORMAT.name,
        values: FORMAT.values,
        default: "",
        help: "what the image has to be encrypted with",
    },
];

/// What becomes of key slots.
pub(crate) const STATE: OptionSpec = OptionSpec {
    name: "encrypt.state",
    values: "active|inactive",
    default: "",
    help: "whether key slots of luks get a passphrase, or are erased",
};
/// The passphrase of a slot that becomes active.
pub(crate) const NEW_SECRET: OptionSpec = OptionSpec {
    name: "encrypt.new-secret",
    values: "ID",
    default: "",
    help: "the secret with the passphrase that a key slot gets",
};
/// The passphrase of slots that become inactive.
pub(crate) const OLD_SECRET: OptionSpec = OptionSpec {
    name: "encrypt.old-secret",
    values: "ID",
    default: "",
    help: "the secret with the passphrase whose key slots are erased",
};
/// The slot.
pub(crate) const KEYSLOT: OptionSpec =
    OptionSpec { name: "encrypt.keyslot", values: "NUM", default: "", help: "the key slot, 0 to 7" };

/// Another name of the option `encrypt.key-secret`, for opening.
const BARE_KEY_SECRET: &str = "key-secret";

/// Which encryption.
pub(crate) const FORMAT: OptionSpec = OptionSpec {
    name: "encrypt.format",
    values: "luks|aes",
    default: "luks",
    help: "encrypt guest bytes; aes is weak, and only for readers that know nothing else",
};
/// The secret.
pub(crate) const KEY_SECRET: OptionSpec =
    OptionSpec { name: "encrypt.key-secret", values: "ID", default: "", help: "the secret with the passphrase" };
/// The cipher and the length of its key.
pub(crate) const CIPHER_ALG: OptionSpec = OptionSpec {
    name: "encrypt.cipher-alg",
    values: CIPHER_ALG_VALUES,
    default: "aes-256",
    help: "cipher and bits of its key, for luks",
};
/// The mode of the cipher.
pub(crate) const CIPHER_MODE: OptionSpec = OptionSpec {
    name: "encrypt.cipher-mode",
    values: "xts|cbc|ctr|ecb",
    default: "xts",
    help: "mode of the cipher, for luks",
};
/// The generator of initial vectors.
pub(crate) const IVGEN_ALG: OptionSpec = OptionSpec {
    name: "encrypt.ivgen-alg",
    values: "plain64|plain|essiv",
    default: "plain64",
    help: "what makes initial vectors, for luks",
};
/// The hash of ESSIV.
pub(crate) const IVGEN_HASH_ALG: OptionSpec = OptionSpec {
    name: "encrypt.ivgen-hash-alg",
    values: HASH_VALUES,
    default: "sha256",
    help: "hash that essiv makes initial vectors with",
};
/// The hash of everything else.
pub(crate) const HASH_ALG: OptionSpec = OptionSpec {
    name: "encrypt.hash-alg",
    values: HASH_VALUES,
    default: "sha256",
    help: "hash of passphrase and key, for luks",
};
/// How long a passphrase takes to try.
pub(crate) const ITER_TIME: OptionSpec = OptionSpec {
    name: "encrypt.iter-time",
    values: "NUM",
    default: "2000",
    help: "milliseconds that a passphrase shall take to try on this machine",
};
/// The same as a count.
pub(crate) const ITERATIONS: OptionSpec = OptionSpec {
    name: "encrypt.iterations",
    values: "NUM",
    default: "",
    help: "hashes that a passphrase shall take to try, 1000 to 12000000, instead of encrypt.iter-time",
};
/// The old name of `encrypt.format=aes`.
pub(crate) const ENCRYPTION: OptionSpec =
    OptionSpec { name: "encryption", values: "on|off", default: "off", help: "the same as encrypt.format=aes" };
