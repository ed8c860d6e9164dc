//! The options, for opening, creating and amending.

use imgfmt_core::{Error, OpenContext, OptionSpec, Result};
use imgfmt_crypt::{CIPHER_ALG_VALUES, HASH_VALUES};

/// The passphrase that the options of `context` name; none where the container is only described, and so none is needed.
///
/// # Errors
///
/// [`Refused`](imgfmt_core::ErrorKind::Refused) where none is named and the container is to be read, and as
/// [`Secrets::get`](imgfmt_core::Secrets::get).
pub(crate) fn secret<'a>(context: &OpenContext<'a>) -> Result<Option<&'a [u8]>> {
    if context.describe_only {
        return Ok(None);
    }
    let id = context.options.get(KEY_SECRET.name).ok_or_else(no_secret)?;
    context.secrets.get(id).map(Some)
}

/// The error of a container that needs a secret and has none.
pub(crate) fn no_secret() -> Error {
    Error::refused("the container is encrypted; give its secret with key-secret=ID")
}

/// Options for opening.
pub(crate) const OPEN: &[OptionSpec] = &[KEY_SECRET];

/// Options of a new container.
pub(crate) const CREATE: &[OptionSpec] = &[
    KEY_SECRET,
    OptionSpec {
        name: "cipher-alg",
        values: CIPHER_ALG_VALUES,
        default: "aes-256",
        help: "cipher and bits of its key",
    },
    OptionSpec { name: "cipher-mode", values: "xts|cbc|ctr|ecb", default: "xts", help: "mode of the cipher" },
    OptionSpec {
        name: "ivgen-alg",
        values: "plain64|plain|essiv",
        default: "plain64",
        help: "what makes initial vectors",
    },
    OptionSpec {
        name: "ivgen-hash-alg",
        values: HASH_VALUES,
        default: "sha256",
        help: "hash that essiv makes initial vectors with",
    },
    OptionSpec { name: "hash-alg", values: HASH_VALUES, default: "sha256", help: "hash of passphrase and key" },
    ITER_TIME,
    ITERATIONS,
    OptionSpec {
        name: "preallocation",
        values: "off|falloc|full",
        default: "off",
        help: "take the space on the host: not at all, without writing, or by writing encrypted zeros",
    },
];

/// Options that can be changed once a container exists.
pub(crate) const AMEND: &[OptionSpec] = &[
    OptionSpec {
        name: "state",
        values: "active|inactive",
        default: "",
        help: "whether key slots get a passphrase, or are erased",
    },
    OptionSpec {
        name: "new-secret",
        values: "ID",
        default: "",
        help: "the secret with the passphrase that a key slot gets",
    },
    OptionSpec {
        name: "old-secret",
        values: "ID",
        default: "",
        help: "the secret with the passphrase whose key slots are erased",
    },
    OptionSpec { name: "keyslot", values: "NUM", default: "", help: "the key slot, 0 to 7" },
    ITER_TIME,
    ITERATIONS,
];

/// The secret.
pub(crate) const KEY_SECRET: OptionSpec =
    OptionSpec { name: "key-secret", values: "ID", default: "", help: "the secret with the passphrase" };
/// How long a passphrase takes to try.
const ITER_TIME: OptionSpec = OptionSpec {
    name: "iter-time",
    values: "NUM",
    default: "2000",
    help: "milliseconds that a passphrase shall take to try on this machine",
};
/// The same as a count.
const ITERATIONS: OptionSpec = OptionSpec {
    name: "iterations",
    values: "NUM",
    default: "",
    help: "hashes that a passphrase shall take to try, 1000 to 12000000, instead of iter-time",
};
