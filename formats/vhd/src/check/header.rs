//! The header.

use imgfmt_core::Result;

use super::{Look, corruption, warning};
use crate::copies::Chosen;
use crate::header::Header;
use crate::layout::{DATA_OFFSET_AT, FOOTER_LEN, HEADER_LEN, SECTOR_LEN};
use crate::patch::RawHeader;

impl Look<'_> {
    /// The header, where it can be read; its checksum may be wrong.
    pub(super) fn at_header(&mut self, chosen: &Chosen) -> Result<Option<Header>> {
        let at = chosen.footer.data_offset;
        if at.checked_add(HEADER_LEN as u64).is_none_or(|end| end > self.storage.len()) {
            let what = format!("Data Offset leads to byte {at}, but the file ends at byte {}", self.storage.len());
            self.tell(corruption("vhd-header-outside", what, chosen.at + DATA_OFFSET_AT as u64));
            return Ok(None);
        }
        let over_end = at < chosen.data_end + FOOTER_LEN as u64 && at + HEADER_LEN as u64 > chosen.data_end;
        if at < FOOTER_LEN as u64 || (over_end && chosen.data_end < self.storage.len()) {
            self.tell(corruption("vhd-header-overlap", "the header lies over a footer", at));
        }
        if !at.is_multiple_of(SECTOR_LEN) {
            self.tell(warning("vhd-header-unaligned", "the header does not start with a sector", at));
        }
        match Header::parse(&RawHeader::read(self.storage, at)?.0) {
            Ok(header) => Ok(Some(header)),
            Err(error) => {
                let place = at + error.offset().unwrap_or(0);
                self.tell(corruption("vhd-header-damaged", format!("the header cannot be used: {error}"), place));
                Ok(None)
            }
        }
    }
}
