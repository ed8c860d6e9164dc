//! From options to the header of a new image.

use imgfmt_core::{CreateRequest, Error, OptionSpec, Result};

use crate::header::{Header, entry_at};
use crate::layout::{DEFAULT_CLUSTER_LEN, MAX_ENTRIES, MAX_TRACKS, SECTOR_LEN};

/// The header for `request`; what is in there goes together.
pub(super) fn header(request: &CreateRequest<'_>) -> Result<Header> {
    request.options.check(OPTIONS)?;
    let cluster_len = cluster_len(request)?;
    let disk_size = request.size.checked_next_multiple_of(SECTOR_LEN).filter(|size| i64::try_from(*size).is_ok());
    let entries = disk_size.map(|size| size.div_ceil(cluster_len)).filter(|entries| *entries <= MAX_ENTRIES);
    let (Some(disk_size), Some(entries)) = (disk_size, entries) else {
        let what = format!("a disk of {} bytes needs clusters larger than {cluster_len} bytes", request.size);
        return Err(Error::invalid(what));
    };
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let data_offset = entry_at(entries).next_multiple_of(cluster_len) / SECTOR_LEN;
    Ok(Header {
        is_old: false,
        tracks: narrow(cluster_len / SECTOR_LEN),
        entries: narrow(entries),
        sectors: disk_size / SECTOR_LEN,
        in_use: 0,
        data_offset: narrow(data_offset),
        flags: 0,
        extension: 0,
    })
}

/// Bytes of a cluster: whole sectors, up from what is given.
fn cluster_len(request: &CreateRequest<'_>) -> Result<u64> {
    let most = u64::from(MAX_TRACKS) * SECTOR_LEN;
    let given = request.options.size("cluster_size", DEFAULT_CLUSTER_LEN)?;
    let len = given.checked_next_multiple_of(SECTOR_LEN).filter(|len| (SECTOR_LEN..=most).contains(len));
    len.ok_or_else(|| Error::invalid(format!("cluster_size is {given}, and a cluster has 1 to {most} bytes")))
}

/// Options of a new image.
pub(crate) const OPTIONS: &[OptionSpec] = &[OptionSpec {
    name: "cluster_size",
    values: "SIZE",
    default: "1M",
    help: "bytes of a cluster, made whole sectors",
}];

#[cfg(test)]
mod tests {
    use imgfmt_core::{ErrorKind, Options};

    use super::*;

    /// The header for a disk of `size` bytes.
    fn header(size: u64, options: &str) -> Result<Header> {
        super::header(&CreateRequest::new(size, &Options::parse(options).unwrap()))
    }

    #[test]
    fn data_begins_at_a_cluster_behind_the_bat() {
        let said = |size, options: &str| header(size, options).map(|h| (h.tracks, h.entries, h.sectors, h.data_offset));
        assert_eq!(said(0, "").unwrap(), (2048, 0, 0, 2048));
        assert_eq!(said(1000, "").unwrap(), (2048, 1, 2, 2048));
        assert_eq!(said(10 << 20, "cluster_size=1").unwrap(), (1, 20480, 20480, 161));
        assert_eq!(said(10 << 20, "cluster_size=3072").unwrap(), (6, 3414, 20480, 30));
    }

    #[test]
    fn what_no_entry_can_name_is_refused() {
        for (size, options) in
            [(1, "cluster_size=0"), (1, "cluster_size=2G"), (u64::MAX, ""), (MAX_ENTRIES * 512 + 1, "cluster_size=512")]
        {
            assert_eq!(header(size, options).unwrap_err().kind(), ErrorKind::Invalid, "{size} {options}");
        }
    }
}
