//! A compressed grain as it is stored.

use std::ops::Range;

use imgfmt_core::{Encoded, Error, Result};

use crate::layout::{GRAIN_MARKER_LEN, MARKER_SIZE_AT, le_u32, le_u64};

/// Bytes that a grain of `grain_len` guest bytes and its marker may take. Not a rule of the format: QEMU
/// refuses more than twice the grain, and no encoder needs as much.
pub(crate) fn max_stored_len(grain_len: u64) -> u64 {
    grain_len.saturating_mul(2).saturating_add(GRAIN_MARKER_LEN as u64)
}

/// Finds the zlib stream in what is `stored` of `unit` behind its marker, which has to name the sector `lba`.
///
/// `source_len` tells a file that is cut short from a grain that runs into another.
pub(crate) fn body(lba: u64, unit: &Encoded, stored: &[u8], source_len: u64) -> Result<Range<usize>> {
    let Some(marker) = stored.first_chunk::<GRAIN_MARKER_LEN>() else {
        return Err(cut_short(unit, GRAIN_MARKER_LEN as u64, source_len));
    };
    let found = le_u64::<0, GRAIN_MARKER_LEN>(marker);
    if found != lba {
        let what = format!("is {found} in the marker of the grain that starts at sector {lba}");
        return Err(Error::malformed(what).field("val").at(unit.host));
    }
    let size = u64::from(le_u32::<MARKER_SIZE_AT, GRAIN_MARKER_LEN>(marker));
    let len = size + GRAIN_MARKER_LEN as u64;
    if size == 0 || len > max_stored_len(u64::from(unit.unit)) {
        let what = format!("is {size}, outside 1..={} for a grain of {} bytes", u64::from(unit.unit) * 2, unit.unit);
        return Err(Error::malformed(what).field("size").at(unit.host.saturating_add(MARKER_SIZE_AT as u64)));
    }
    match usize::try_from(len) {
        Ok(len) if len <= stored.len() => Ok(GRAIN_MARKER_LEN..len),
        _ if unit.host.saturating_add(stored.len() as u64) < source_len => {
            let what = format!("is {size}, so the grain runs into the next, {} bytes behind it", stored.len());
            Err(Error::malformed(what).field("size").at(unit.host.saturating_add(MARKER_SIZE_AT as u64)))
        }
        _ => Err(cut_short(unit, len, source_len)),
    }
}

/// The file ends within a grain and its marker, which are `len` bytes.
fn cut_short(unit: &Encoded, len: u64, source_len: u64) -> Error {
    let what = format!("a compressed grain of {len} bytes starts here, but the file ends at byte {source_len}");
    Error::out_of_bounds(what).at(unit.host)
}

#[cfg(test)]
mod tests {
    use imgfmt_core::{Codec, ErrorKind, SourceId};

    use super::*;

    fn stored(lba: u64, size: u32, len: usize) -> Vec<u8> {
        let mut bytes = [lba.to_le_bytes().as_slice(), &size.to_le_bytes()].concat();
        bytes.resize(len, 0xaa);
        bytes
    }

    fn parse(stored: &[u8], source_len: u64) -> Result<Range<usize>> {
        let unit =
            Encoded { source: SourceId(0), host: 1024, stored_len: 512, codec: Codec::Zlib, unit: 4096, skip: 0 };
        body(16, &unit, stored, source_len)
    }

    #[test]
    fn a_marker_frames_its_stream() {
        assert_eq!(parse(&stored(16, 100, 512), 1536).unwrap(), 12..112);
        assert_eq!(parse(&stored(16, 500, 512), 1536).unwrap(), 12..512);
    }

    #[test]
    fn a_marker_that_lies_is_refused_with_its_place() {
        let case = |bytes: &[u8], source_len| {
            let error = parse(bytes, source_len).unwrap_err();
            (error.kind(), error.offset())
        };
        assert_eq!(case(&stored(17, 100, 512), 9999), (ErrorKind::Malformed, Some(1024)));
        assert_eq!(case(&stored(16, 0, 512), 9999), (ErrorKind::Malformed, Some(1032)));
        assert_eq!(case(&stored(16, 8193, 9000), 99_999), (ErrorKind::Malformed, Some(1032)));
        assert_eq!(case(&stored(16, 501, 512), 9999), (ErrorKind::Malformed, Some(1032)));
        assert_eq!(case(&stored(16, 501, 512), 1536), (ErrorKind::OutOfBounds, Some(1024)));
        assert_eq!(case(&[16, 0], 1026), (ErrorKind::OutOfBounds, Some(1024)));
    }
}
