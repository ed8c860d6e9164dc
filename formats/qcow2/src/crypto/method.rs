//! Which encryption the header says.

use imgfmt_core::{Error, Result};

use crate::cluster::ClusterBits;
use crate::extensions::Extensions;
use crate::layout::{CRYPT_AES, CRYPT_LUKS, CRYPT_METHOD_AT, CRYPT_NONE, HeaderExtension};
use imgfmt_core::fields::{Fields, Place};

/// The field `crypt_method`, with what goes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CryptMethod {
    /// Guest bytes are stored as they are.
    #[default]
    None,
    /// The old AES.
    Aes,
    /// LUKS.
    Luks {
        /// Host byte of the LUKS header, at a cluster border.
        offset: u64,
        /// Bytes of the LUKS header with its key material.
        len: u64,
    },
}

impl CryptMethod {
    /// Whether it is LUKS.
    pub(crate) fn is_luks(self) -> bool {
        matches!(self, Self::Luks { .. })
    }

    /// Parses the field, and the header extension that names the LUKS header.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for another number,
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where the extension is missing, has another length, or names no
    /// cluster border.
    pub(crate) fn parse(fields: &Fields<'_>, extensions: &Extensions, cluster: ClusterBits) -> Result<Self> {
        let place = Place::in_header("crypt_method", CRYPT_METHOD_AT);
        match fields.u32(CRYPT_METHOD_AT)? {
            CRYPT_NONE => Ok(Self::None),
            CRYPT_AES => Ok(Self::Aes),
            CRYPT_LUKS => {
                let extension = extensions
                    .find(HeaderExtension::LUKS)
                    .ok_or_else(|| place.malformed("is 2, but no header extension says where the LUKS header is"))?;
                let wrong = |what: String| Error::malformed(what).field("full disk encryption").at(extension.at);
                if extension.data.len() != EXTENSION_LEN {
                    return Err(wrong(format!("has {} bytes, not {EXTENSION_LEN}", extension.data.len())));
                }
                let data = Fields::new(&extension.data, extension.at);
                let (offset, len) = (data.u64(0)?, data.u64(LENGTH_AT)?);
                if offset == 0 || !cluster.aligns(offset) || offset.checked_add(len).is_none() {
                    let what = format!("says {len} bytes from byte {offset} on, which is no cluster of its own");
                    return Err(wrong(what));
                }
                Ok(Self::Luks { offset, len })
            }
            other => Err(place.unsupported(format!("is {other}, which is not known"))),
        }
    }

    /// How many clusters the LUKS header takes.
    pub(crate) fn header_clusters(self, cluster: ClusterBits) -> u64 {
        match self {
            Self::Luks { len, .. } => len.div_ceil(cluster.len()),
            Self::None | Self::Aes => 0,
        }
    }

    /// The value of the field.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::None => CRYPT_NONE,
            Self::Aes => CRYPT_AES,
            Self::Luks { .. } => CRYPT_LUKS,
        }
    }

    /// The data of the header extension that goes with it.
    pub(crate) fn extension(self) -> Option<Vec<u8>> {
        match self {
            Self::Luks { offset, len } => Some([offset.to_be_bytes(), len.to_be_bytes()].concat()),
            Self::None | Self::Aes => None,
        }
    }

    /// The value of the option `encrypt.format` that means this.
    pub(super) fn format(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Aes => Some("aes"),
            Self::Luks { .. } => Some("luks"),
        }
    }
}

/// Bytes of the header extension: offset and length. Section "Full disk encryption header pointer".
const EXTENSION_LEN: usize = 16;
/// Offset of the length in it.
const LENGTH_AT: usize = 8;
