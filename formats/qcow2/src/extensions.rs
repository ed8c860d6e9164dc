//! Header extensions: all are kept, few are understood.

use std::ops::Range;

use imgfmt_core::{Error, Limits, Result};

use crate::layout::{
    EXTENSION_HEADER_LEN, EXTENSION_LENGTH_AT, FEATURE_NAME_AT, FEATURE_NAME_ENTRY_LEN, FeatureKind, HeaderExtension,
    ITEM_ALIGN,
};
use imgfmt_core::fields::Fields;

/// The header extensions, in file order.
#[derive(Debug, Default)]
pub(crate) struct Extensions {
    /// All of them.
    list: Vec<Extension>,
    /// Whether their end was seen: the end mark, or the end of where they may be.
    pub(crate) ended: bool,
}

/// One header extension.
#[derive(Debug)]
pub(crate) struct Extension {
    /// What it is.
    pub(crate) kind: HeaderExtension,
    /// Host byte of its data.
    pub(crate) at: u64,
    /// Its data, without the padding.
    pub(crate) data: Vec<u8>,
}

impl Extensions {
    /// Parses the extensions in bytes `area` of the first cluster.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where one is longer than what is left of `area`,
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file ends within one,
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) for too many.
    pub(crate) fn parse(first: &Fields<'_>, area: Range<usize>, limits: &Limits) -> Result<Self> {
        let mut list = Vec::new();
        let mut at = area.start;
        let mut ended = true;
        // A file may end with its last extension, and then needs no end mark.
        while at + EXTENSION_HEADER_LEN <= area.end {
            if first.bytes(at, EXTENSION_HEADER_LEN).is_err() {
                ended = false;
                break;
            }
            let kind = HeaderExtension(first.u32(at)?);
            if kind == HeaderExtension::END {
                break;
            }
            let len = first.u32(at + EXTENSION_LENGTH_AT)? as usize;
            let start = at + EXTENSION_HEADER_LEN;
            if len > area.end - start {
                let what = format!("is {len} for the header extension {kind}, above the {} left", area.end - start);
                return Err(Error::malformed(what).field("length").at(first.host(at + EXTENSION_LENGTH_AT)));
            }
            list.push(Extension { kind, at: first.host(start), data: first.bytes(start, len)?.to_vec() });
            Limits::check("header extensions", list.len() as u64, limits.items)?;
            at = start + len.next_multiple_of(ITEM_ALIGN);
        }
        Ok(Self { list, ended })
    }

    /// The data of the last extension of `kind`, which is the one that counts.
    pub(crate) fn find(&self, kind: HeaderExtension) -> Option<&Extension> {
        self.list.iter().rfind(|extension| extension.kind == kind)
    }

    /// Those that are not understood here.
    pub(crate) fn all(&self) -> Vec<(HeaderExtension, Vec<u8>)> {
        self.list.iter().map(|extension| (extension.kind, extension.data.clone())).collect()
    }

    /// Those of kinds that are not known.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &Extension> {
        self.list.iter().filter(|extension| extension.kind.name().is_none())
    }

    /// The format of the backing file.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is not text.
    pub(crate) fn backing_format(&self) -> Result<Option<String>> {
        let Some(extension) = self.find(HeaderExtension::BACKING_FORMAT) else {
            return Ok(None);
        };
        let name = str::from_utf8(&extension.data)
            .map_err(|_| Error::malformed("the backing format name is not text").at(extension.at))?;
        Ok((!name.is_empty()).then(|| name.to_owned()))
    }

    /// What the image's own table calls a feature bit.
    pub(crate) fn feature_name(&self, kind: FeatureKind, bit: u8) -> Option<String> {
        let table = &self.find(HeaderExtension::FEATURE_NAMES)?.data;
        let entry =
            table.chunks_exact(FEATURE_NAME_ENTRY_LEN).find(|entry| entry[0] == kind as u8 && entry[1] == bit)?;
        let name = entry[FEATURE_NAME_AT..].split(|&byte| byte == 0).next()?;
        (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgfmt_core::ErrorKind;

    fn extension(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn parse(bytes: &[u8], end: usize) -> Result<Extensions> {
        Extensions::parse(&Fields::new(bytes, 0), 0..end, &Limits::default())
    }

    #[test]
    fn unknown_extensions_are_kept_and_the_last_of_a_kind_counts() {
        let format = HeaderExtension::BACKING_FORMAT.0;
        let bytes = [extension(format, b"raw"), extension(7, b"12345"), extension(format, b"qcow2"), extension(0, b"")]
            .concat();
        let extensions = parse(&bytes, 512).unwrap();
        assert_eq!(extensions.backing_format().unwrap().as_deref(), Some("qcow2"));
        let unknown: Vec<_> = extensions.unknown().map(|e| (e.kind.0, e.at, e.data.as_slice())).collect();
        assert_eq!(unknown, [(7, 24, &b"12345"[..])]);
    }

    #[test]
    fn extensions_may_fill_their_area_and_never_pass_it() {
        let bytes = extension(7, b"12345678");
        assert_eq!(parse(&bytes, 16).unwrap().unknown().count(), 1);
        let error = parse(&bytes, 15).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Malformed, Some(4)));
        assert_eq!(parse(&bytes[..12], 16).unwrap_err().kind(), ErrorKind::OutOfBounds);
        assert_eq!(parse(&bytes, 7).unwrap().unknown().count(), 0);
    }

    #[test]
    fn a_feature_name_ends_at_its_padding_or_fills_its_entry() {
        let mut table = vec![0u8; 96];
        table[1] = 9;
        table[2..6].copy_from_slice(b"time");
        table[48..].fill(b'x');
        let bytes = extension(HeaderExtension::FEATURE_NAMES.0, &table);
        let extensions = parse(&bytes, bytes.len()).unwrap();
        assert_eq!(extensions.feature_name(FeatureKind::Incompatible, 9).as_deref(), Some("time"));
        assert_eq!(extensions.feature_name(FeatureKind::Compatible, 9), None);
    }
}
