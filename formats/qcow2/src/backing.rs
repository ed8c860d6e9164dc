//! The name of the backing file, behind the header extensions.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use imgfmt_core::{Error, Result};

use crate::cluster::ClusterBits;
use crate::layout::{BACKING_FILE_OFFSET_AT, BACKING_FILE_SIZE_AT, MAX_BACKING_NAME_LEN};
use imgfmt_core::fields::{Fields, Place};

/// Where the name of the backing file is, and so where the header extensions end.
pub(crate) struct BackingPlace {
    /// Its bytes, where there is a backing file.
    name: Option<(usize, usize)>,
    /// The byte at which no header extension may go on.
    extensions_end: usize,
}

impl BackingPlace {
    /// Checks that the name lies behind the header and within the first cluster.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it does not.
    pub(crate) fn parse(fields: &Fields<'_>, header_length: usize, cluster: ClusterBits) -> Result<Self> {
        let place = Place::in_header("backing_file_offset", BACKING_FILE_OFFSET_AT);
        let offset = fields.u64(BACKING_FILE_OFFSET_AT)?;
        if offset == 0 {
            return Ok(Self { name: None, extensions_end: cluster.in_memory() });
        }
        let at = usize::try_from(offset).ok().filter(|at| (header_length..=cluster.in_memory()).contains(at));
        let at =
            at.ok_or_else(|| place.malformed(format!("is {offset}, outside {header_length}..={}", cluster.len())))?;
        let len = fields.u32(BACKING_FILE_SIZE_AT)? as usize;
        let most = MAX_BACKING_NAME_LEN.min(cluster.in_memory() - at);
        if len > most {
            let what = format!("is {len}, above {most}: a name has at most 1023 bytes and ends in the first cluster");
            return Err(Place::in_header("backing_file_size", BACKING_FILE_SIZE_AT).malformed(what));
        }
        Ok(Self { name: (len > 0).then_some((at, len)), extensions_end: at })
    }

    /// The byte at which no header extension may go on.
    pub(crate) fn extensions_end(&self) -> usize {
        self.extensions_end
    }

    /// The name: the bytes as they are, never anything but a file name.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it cannot be a file name,
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file ends within it.
    pub(crate) fn name(&self, fields: &Fields<'_>) -> Result<Option<PathBuf>> {
        let Some((at, len)) = self.name else {
            return Ok(None);
        };
        let bytes = fields.bytes(at, len)?;
        if bytes.contains(&0) {
            return Err(Error::malformed("the backing file name holds a NUL byte").at(at as u64));
        }
        Ok(Some(PathBuf::from(OsStr::from_bytes(bytes))))
    }
}
