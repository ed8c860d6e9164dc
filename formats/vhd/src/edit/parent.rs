//! Another parent, or none.

use std::sync::Arc;

use imgfmt_core::{Backing, Error, Halt, Medium, OpenContext, Reparent, Result};
use uuid::Uuid;

use super::blocks::Disk;
use super::whole;
use crate::footer::DiskType;
use crate::header::{Header, Locator};
use crate::layout::{HEADER_LEN, LOCATOR_COUNT, PARENT_NAME_LEN, SECTOR_LEN};
use crate::patch::{RawFooter, RawHeader};
use crate::space;
use crate::write::ParentFields;
use crate::{NAME, Vhd};

impl Reparent for Vhd {
    fn set_parent(&self, medium: Arc<dyn Medium>, parent: Option<&Backing>, context: &OpenContext<'_>) -> Result<()> {
        set_parent(&medium, parent, context).map_err(|e| e.in_format(NAME))
    }
}

/// Makes the disk in `medium` build on `parent`.
///
/// The header takes two sectors, which do not change in one step. So a second header is put at the end and
/// the footers lead to it while the first one is written; then they lead back.
fn set_parent(medium: &Arc<dyn Medium>, parent: Option<&Backing>, context: &OpenContext<'_>) -> Result<()> {
    let halt = Halt::default();
    let medium = &halt.guard(Arc::clone(medium));
    let (chosen, mut footers, _) = whole(medium, context, halt)?;
    if chosen.footer.disk_type == DiskType::Fixed {
        return Err(Error::unsupported("a fixed disk has no parent"));
    }
    let header_at = chosen.footer.data_offset;
    let (file, medium) = (medium, medium.as_ref());
    let old = RawHeader::read(medium, header_at)?;
    let fields = parent.map(ParentFields::new).transpose()?;
    let names_at = footers.end.next_multiple_of(SECTOR_LEN);
    let names = fields.as_ref().map(ParentFields::locator_data).unwrap_or_default();
    let spare_at = names_at + names.len() as u64;
    let (header, disk_type) = match &fields {
        Some(fields) => {
            let locators = fields.locators(names_at);
            (old.with_parent(fields.unique_id, &fields.name, &locators), DiskType::Differencing)
        }
        None => {
            let none = [Locator::default(); LOCATOR_COUNT];
            (old.with_parent(Uuid::nil(), &[0; PARENT_NAME_LEN], &none), DiskType::Dynamic)
        }
    };
    footers.move_behind(medium, spare_at + HEADER_LEN as u64)?;
    medium.sync()?;
    medium.write_at(&[&names[..], &header.0].concat(), names_at)?;
    let leading_to = |bytes: RawFooter, at| bytes.with_header(disk_type, at);
    footers.switch(medium, leading_to(footers.bytes, spare_at))?;
    medium.write_at(&header.0, header_at)?;
    footers.switch(medium, leading_to(footers.bytes, header_at))?;
    footers.trim(medium, spare_at)?;
    forget_names(file, &old, context)
}

/// Makes zero where the names were that the header `old` led to, as far as nothing else is there.
fn forget_names(medium: &Arc<dyn Medium>, old: &RawHeader, context: &OpenContext<'_>) -> Result<()> {
    let (chosen, footers, size) = whole(medium, context, Halt::default())?;
    // Where a disk cannot be edited, nothing is certain enough to be made zero.
    let Ok(disk) = Disk::new(medium, &chosen.footer, footers, size) else { return Ok(()) };
    let gaps = space::gaps(&disk.structures()?, &disk.table, disk.grid, disk.footers.end);
    for name in space::names(&Header::parse(&old.0)?) {
        for gap in &gaps {
            let (start, end) = (name.start.max(gap.start), name.end.min(gap.end));
            if start < end {
                medium.clear(start..end)?;
            }
        }
    }
    medium.sync()
}
