//! How large the disk is: programs differ on which field says so.

use imgfmt_core::{Error, Options, Result};

use crate::footer::Footer;
use crate::geometry::Geometry;
use crate::layout::{CURRENT_SIZE_AT, MAX_SECTORS, SECTOR_LEN};

/// The field that says how large the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizeFrom {
    /// `Current Size`.
    CurrentSize,
    /// `Disk Geometry`.
    Geometry,
}

impl SizeFrom {
    /// The field, in the specification's spelling.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::CurrentSize => "Current Size",
            Self::Geometry => "Disk Geometry",
        }
    }

    /// The field that counts for `footer`, unless the options choose one.
    ///
    /// Virtual PC shows its guests the geometry, and QEMU did so with what it wrote; everybody else goes by the size.
    /// The largest geometry says nothing, so even where it is asked for, the size counts then.
    pub(crate) fn choose(footer: &Footer, options: &Options) -> Result<Self> {
        let by_creator = if GEOMETRY_CREATORS.contains(&footer.creator_app) { "chs" } else { "current_size" };
        let words = [("chs", Self::Geometry), ("current_size", Self::CurrentSize)];
        let default = if by_creator == "chs" { Self::Geometry } else { Self::CurrentSize };
        let chosen = options.word(OPTION, &words, default)?;
        Ok(if footer.geometry.total() == Geometry::MAX.total() { Self::CurrentSize } else { chosen })
    }

    /// Bytes of the disk.
    pub(crate) fn size_of(self, footer: &Footer) -> Result<u64> {
        let size = match self {
            Self::CurrentSize => footer.current_size,
            Self::Geometry => footer.geometry.size(),
        };
        if size > MAX_SECTORS * SECTOR_LEN {
            let what = format!("is {size} bytes, more than the 2040 GiB that there can be");
            return Err(Error::limit(what).field(self.field()).at(CURRENT_SIZE_AT as u64));
        }
        Ok(size)
    }
}

/// Programs that take the geometry for the size.
const GEOMETRY_CREATORS: [[u8; 4]; 2] = [*b"vpc ", *b"qemu"];
/// The option that chooses, as QEMU calls it.
pub(crate) const OPTION: &str = "force_size_calc";

#[cfg(test)]
mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;
    use crate::footer::DiskType;
    use crate::footer::tests::footer;

    fn size(app: &[u8; 4], geometry: Option<Geometry>, options: &str) -> u64 {
        let mut footer = footer(DiskType::Fixed, 40 << 20);
        footer.creator_app = *app;
        footer.geometry = geometry.unwrap_or(footer.geometry);
        let options = Options::parse(options).unwrap();
        SizeFrom::choose(&footer, &options).unwrap().size_of(&footer).unwrap()
    }

    #[test]
    fn the_creator_says_which_field_counts() {
        for app in [b"vpc ", b"qemu"] {
            assert_eq!(size(app, None, ""), 41_909_760);
            assert_eq!(size(app, Some(Geometry::MAX), ""), 40 << 20);
            assert_eq!(size(app, None, "force_size_calc=current_size"), 40 << 20);
        }
        for app in [b"win ", b"qem2", b"d2v ", b"d2v\0", b"tap\0", b"CTXS", b"wa\0\0", b"vbox", b"abcd"] {
            assert_eq!(size(app, None, ""), 40 << 20);
            assert_eq!(size(app, None, "force_size_calc=chs"), 41_909_760);
            assert_eq!(size(app, Some(Geometry::MAX), "force_size_calc=chs"), 40 << 20);
        }
    }

    #[test]
    fn no_disk_has_more_than_2040_gib() {
        let footer = footer(DiskType::Fixed, (2040 << 30) + 512);
        let error = SizeFrom::CurrentSize.size_of(&footer).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::LimitExceeded, Some(48)));
    }
}
