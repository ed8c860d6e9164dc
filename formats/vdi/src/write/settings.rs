//! From options to the header of a new image.

use imgfmt_core::{CreateRequest, Error, OptionSpec, Options, Result};
use uuid::Uuid;

use crate::header::{Header, ImageType};
use crate::layout::{
    COMMENT_LEN, DATA_ALIGN, ENTRY_LEN, FILE_INFO_LEN, HEADER_LEN, MAX_BLOCKS, NEW_BLOCK_LEN, SECTOR_LEN, put,
};

/// The header for `request`; what is in there goes together.
pub(super) fn header(request: &CreateRequest<'_>) -> Result<Header> {
    let options = request.options;
    options.check(OPTIONS)?;
    let kind = if options.flag("static", false)? { ImageType::Fixed } else { ImageType::Dynamic };
    let disk_size = request.size.checked_next_multiple_of(SECTOR_LEN).filter(|size| *size <= MAX_SIZE);
    let disk_size = disk_size.ok_or_else(|| {
        Error::invalid(format!("a disk of {} bytes is more than a VDI can have, which is {MAX_SIZE}", request.size))
    })?;
    let blocks = disk_size.div_ceil(NEW_BLOCK_LEN);
    let mut file_info = [0; FILE_INFO_LEN];
    put(&mut file_info, 0, FILE_INFO);
    Ok(Header {
        file_info,
        header_len: HEADER_LEN,
        kind,
        flags: 0,
        comment: [0; COMMENT_LEN],
        map_offset: MAP_OFFSET,
        data_offset: (MAP_OFFSET + blocks * ENTRY_LEN).next_multiple_of(DATA_ALIGN),
        disk_size,
        block_len: NEW_BLOCK_LEN,
        block_extra: 0,
        blocks: u32::try_from(blocks).unwrap_or(u32::MAX),
        allocated: 0,
        create: identity(options, "uuid")?,
        modify: identity(options, "modification_uuid")?,
        linkage: Uuid::nil(),
        parent_modify: Uuid::nil(),
    })
}

/// The identity that the option `name` gives, or a new one.
fn identity(options: &Options, name: &str) -> Result<Uuid> {
    let Some(text) = options.get(name) else { return Ok(Uuid::new_v4()) };
    let id = Uuid::parse_str(text).ok().filter(|id| !id.is_nil());
    id.ok_or_else(|| Error::invalid(format!("{name} is {text}, which is not a UUID by which anything is known")))
}

/// Options of a new image.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "static",
        values: "on|off",
        default: "off",
        help: "give every block its place at once: a fixed image, of which the file has all bytes",
    },
    OptionSpec { name: "uuid", values: "UUID", default: "random", help: "by what children will know the image" },
    OptionSpec {
        name: "modification_uuid",
        values: "UUID",
        default: "random",
        help: "by what children will know that the image has not changed",
    },
];

/// `szFileInfo` of what is written here.
const FILE_INFO: &[u8] = b"<<< imgfmt Virtual Disk Image >>>\n";
/// Where the map of a new image is: behind the sector of the header, as in QEMU's.
const MAP_OFFSET: u64 = 512;
/// Largest disk. Not a rule of the format: QEMU takes no more.
const MAX_SIZE: u64 = MAX_BLOCKS * NEW_BLOCK_LEN;

#[cfg(test)]
mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;

    fn of(size: u64, options: &str) -> Result<Header> {
        let options = Options::parse(options).unwrap();
        header(&CreateRequest::new(size, &options))
    }

    #[test]
    fn the_size_puts_map_and_data_where_they_are() {
        for (size, disk_size, blocks, data_offset) in [
            (0, 0, 0, 1 << 20),
            (1, 512, 1, 1 << 20),
            (5_000_000, 5_000_192, 5, 1 << 20),
            (262_016 << 20, 262_016 << 20, 262_016, 1 << 20),
            (262_017 << 20, 262_017 << 20, 262_017, 2 << 20),
            (MAX_SIZE, MAX_SIZE, 0x1fff_ff80, 2 << 30),
        ] {
            let header = of(size, "").unwrap();
            assert_eq!(
                (header.disk_size, header.blocks, header.data_offset),
                (disk_size, blocks, data_offset),
                "{size}"
            );
        }
    }

    #[test]
    fn what_the_format_does_not_have_is_refused() {
        for (size, options) in [
            (MAX_SIZE + 1, ""),
            (u64::MAX, ""),
            (512, "static=maybe"),
            (512, "uuid=1"),
            (512, "uuid=00000000-0000-0000-0000-000000000000"),
            (512, "block_size=1M"),
        ] {
            assert_eq!(of(size, options).unwrap_err().kind(), ErrorKind::Invalid, "{size} {options}");
        }
    }

    #[test]
    fn an_identity_is_random_unless_it_is_given() {
        assert_ne!(of(512, "").unwrap().create, of(512, "").unwrap().create);
        let given = "uuid=00112233-4455-6677-8899-aabbccddeeff,modification_uuid=10112233-4455-6677-8899-aabbccddeeff";
        assert_eq!(of(512, given).unwrap(), of(512, given).unwrap());
    }
}
