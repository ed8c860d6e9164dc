//! What the footer says of the size of the disk.

use imgfmt_core::Result;

use super::{Look, corruption, warning};
use crate::copies::Chosen;
use crate::geometry::Geometry;
use crate::layout::{CURRENT_SIZE_AT, GEOMETRY_AT, ORIGINAL_SIZE_AT, SECTOR_LEN};
use crate::size::SizeFrom;

impl Look<'_> {
    /// The size of the disk, where it has one that there can be.
    pub(super) fn at_size(&mut self, chosen: &Chosen) -> Result<Option<u64>> {
        let (footer, at) = (&chosen.footer, chosen.at);
        let from = SizeFrom::choose(footer, self.context.options)?;
        let size = match from.size_of(footer) {
            Ok(size) => size,
            Err(error) => {
                self.tell(corruption("vhd-size-limit", error.to_string(), at + CURRENT_SIZE_AT as u64));
                return Ok(None);
            }
        };
        let (current, geometry) = (footer.current_size, footer.geometry.size());
        if !size.is_multiple_of(SECTOR_LEN) {
            let what = format!("{} is {size}, which are no whole sectors", from.field());
            self.tell(warning("vhd-size-odd", what, at + CURRENT_SIZE_AT as u64));
        }
        if footer.geometry.total() != Geometry::MAX.total() {
            let differ = from == SizeFrom::Geometry && geometry != current;
            if geometry > current {
                let what = format!("Disk Geometry says {geometry} bytes, more than the {current} of Current Size");
                self.tell(warning("vhd-size-geometry", what, at + GEOMETRY_AT as u64));
            } else if differ {
                let what = format!("readers differ: Current Size is {current}, Disk Geometry says {geometry} bytes");
                self.tell(warning("vhd-size-geometry", what, at + GEOMETRY_AT as u64));
            }
        }
        if footer.original_size == 0 && current > 0 {
            self.tell(warning("vhd-size-original", "Original Size is 0", at + ORIGINAL_SIZE_AT as u64));
        }
        Ok(Some(size))
    }
}
