//! The header of a member.
//!
//! | Offset | Size | Field      | Rule                                            | Spec         |
//! |-------:|-----:|------------|-------------------------------------------------|--------------|
//! |      0 |  100 | `name`     | ends at its first NUL                           | ustar        |
//! |    124 |   12 | `size`     | octal, or base 256 where the first bit is set   | ustar, GNU   |
//! |    148 |    8 | `chksum`   | sum of all bytes, these eight taken as blanks   | ustar        |
//! |    156 |    1 | `typeflag` | see [`Kind`]                                    | ustar, GNU   |
//! |    257 |    8 | `magic`    | `ustar\0` and two digits, or `ustar  \0` of GNU | ustar, GNU   |
//! |    345 |  155 | `prefix`   | goes before `name`; not in headers of GNU       | ustar        |
//! |    386 |   96 | `sp`       | the first four pieces of a sparse file          | GNU          |
//! |    482 |    1 | `isextended` | whether more pieces follow                    | GNU          |
//! |    483 |   12 | `realsize` | bytes of a sparse file with its holes           | GNU          |

use imgfmt_core::{Error, Result};

/// Bytes of a header, and of the blocks that an archive is made of.
pub(crate) const LEN: usize = 512;
/// Position of `name`.
pub(crate) const NAME_AT: usize = 0;
/// Bytes of `name`.
pub(crate) const NAME_LEN: usize = 100;
/// Position of `size`.
pub(crate) const SIZE_AT: usize = 124;
/// Bytes of `size` and other large numbers.
pub(crate) const NUMBER_LEN: usize = 12;
/// Position of `chksum`.
pub(crate) const CHECKSUM_AT: usize = 148;
/// Bytes of `chksum`.
pub(crate) const CHECKSUM_LEN: usize = 8;
/// Position of `typeflag`.
pub(crate) const KIND_AT: usize = 156;
/// Position of `magic` and `version`.
pub(crate) const MAGIC_AT: usize = 257;
/// `magic` of POSIX; two digits follow.
pub(crate) const POSIX_MAGIC: [u8; 6] = *b"ustar\0";
/// `magic` and `version` of GNU tar.
pub(crate) const GNU_MAGIC: [u8; 8] = *b"ustar  \0";
/// Position of `prefix`.
const PREFIX_AT: usize = 345;
/// Bytes of `prefix`.
const PREFIX_LEN: usize = 155;
/// Largest `size` in octal digits, in bytes.
pub(crate) const OCTAL_MAX: u64 = (1 << 33) - 1;

/// What a member is, by its `typeflag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `0`, NUL or `7`: a regular file.
    File,
    /// `5`: a folder.
    Folder,
    /// `x`: a pax header of the next member.
    Extended,
    /// `g`: a pax header of all that follow.
    Global,
    /// `L` of GNU: the name of the next member.
    LongName,
    /// `S` of GNU: a regular file with holes.
    Sparse,
    /// `V` of GNU: the name of the archive.
    Label,
}

/// A header with a right checksum.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// What the member is.
    pub(crate) kind: Kind,
    /// Bytes of its data in the archive.
    pub(crate) size: u64,
    /// The block.
    pub(crate) block: [u8; LEN],
}

impl Header {
    /// Whether `block` begins an archive: a name and a magic number, and not the checksum, for a damaged archive is one too.
    pub(crate) fn recognise(block: &[u8]) -> bool {
        let Some(block) = block.first_chunk::<LEN>() else { return false };
        block[0] != 0 && (is_posix(block) || is_gnu(block))
    }

    /// Reads a header that is not all zeros.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed); [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for links,
    /// devices and what else is no file.
    pub(crate) fn parse(block: &[u8; LEN]) -> Result<Self> {
        if !is_posix(block) && !is_gnu(block) {
            return Err(Error::malformed("is neither that of POSIX nor of GNU").field("magic"));
        }
        let said = number(&block[CHECKSUM_AT..CHECKSUM_AT + CHECKSUM_LEN], "chksum")?;
        let real = checksum(block);
        if said != real {
            return Err(Error::malformed(format!("is {said}, and not {real}")).field("chksum"));
        }
        let size = number(&block[SIZE_AT..SIZE_AT + NUMBER_LEN], "size")?;
        Ok(Self { kind: kind(block)?, size, block: *block })
    }

    /// The name in the header, with its prefix.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for what is not UTF-8.
    pub(crate) fn name(&self) -> Result<Vec<u8>> {
        let name = until_nul(&self.block[NAME_AT..NAME_LEN]);
        let prefix = until_nul(&self.block[PREFIX_AT..PREFIX_AT + PREFIX_LEN]);
        if is_gnu(&self.block) || prefix.is_empty() {
            return Ok(name.to_vec());
        }
        Ok([prefix, b"/", name].concat())
    }
}

/// Whether the header is one of POSIX.
fn is_posix(block: &[u8; LEN]) -> bool {
    block[MAGIC_AT..].starts_with(&POSIX_MAGIC)
}

/// Whether the header is one of GNU tar.
pub(crate) fn is_gnu(block: &[u8; LEN]) -> bool {
    block[MAGIC_AT..].starts_with(&GNU_MAGIC)
}

/// What the member is.
fn kind(block: &[u8; LEN]) -> Result<Kind> {
    let unsupported = |what: &str| Err(Error::unsupported(format!("is {what}")).field("typeflag"));
    match block[KIND_AT] {
        b'0' | 0 | b'7' => Ok(Kind::File),
        b'5' => Ok(Kind::Folder),
        b'x' => Ok(Kind::Extended),
        b'g' => Ok(Kind::Global),
        b'L' => Ok(Kind::LongName),
        b'S' if is_gnu(block) => Ok(Kind::Sparse),
        b'V' => Ok(Kind::Label),
        b'1' | b'2' | b'K' => unsupported("that of a link"),
        b'3' | b'4' | b'6' => unsupported("that of a device or pipe"),
        b'M' => unsupported("that of a file of several archives"),
        other => unsupported(&format!("0x{other:02x}, which is not known")),
    }
}

/// The sum of all bytes of a header, its `chksum` taken as blanks.
pub(crate) fn checksum(block: &[u8; LEN]) -> u64 {
    let field = CHECKSUM_AT..CHECKSUM_AT + CHECKSUM_LEN;
    block.iter().enumerate().map(|(at, &byte)| u64::from(if field.contains(&at) { b' ' } else { byte })).sum()
}

/// A number in octal digits between blanks and NULs, or in base 256.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for anything else, and for negative numbers and such above 2^64.
pub(crate) fn number(field: &[u8], name: &'static str) -> Result<u64> {
    let wrong = || Error::malformed("is not a number").field(name);
    if let Some((&first, rest)) = field.split_first().filter(|(first, _)| **first & 0x80 != 0) {
        let mut digits = std::iter::once(first & 0x7f).chain(rest.iter().copied());
        let value = digits.try_fold(0_u64, |value, digit| value.checked_mul(256)?.checked_add(u64::from(digit)));
        return value.ok_or_else(wrong);
    }
    let start = field.iter().position(|&byte| byte != b' ').unwrap_or(field.len());
    let digits = &field[start..];
    let len = digits.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(len);
    if !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Err(wrong());
    }
    Ok(digits.iter().fold(0, |value, digit| value * 8 + u64::from(digit - b'0')))
}

/// What comes before the first NUL.
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        for (field, value) in [
            (&b"00000000017\0"[..], 15),
            (b"         17 ", 15),
            (b"777777777777", (1 << 36) - 1),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0", 0),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", 1 << 33),
        ] {
            assert_eq!(number(field, "size").unwrap(), value, "{field:?}");
        }
        for field in [&b"8"[..], b"1x", b"1\x007", b"-1", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert!(number(field, "size").is_err(), "{field:?}");
        }
    }
}
