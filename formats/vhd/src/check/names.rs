//! How a differencing disk names its parent.

use super::{Look, warning};
use crate::header::Header;
use crate::layout::{LOCATOR_LEN, LOCATORS_AT, PARENT_ID_AT};
use crate::parent::ParentNames;

impl Look<'_> {
    /// Looks at the names that the header at byte `at` leads to. There are many, and one that can be read does.
    pub(super) fn at_names(&mut self, header: &Header, at: u64) {
        for (index, locator) in header.locators.iter().enumerate().filter(|(_, locator)| locator.code != [0; 4]) {
            let place = at + (LOCATORS_AT + index * LOCATOR_LEN) as u64;
            let end = locator.at.saturating_add(u64::from(locator.len));
            if end > self.storage.len() {
                let what = format!("parent locator {} ends at byte {end}, beyond the file", index + 1);
                self.tell(warning("vhd-locator-outside", what, place));
                continue;
            }
            let alone = Header { locators: std::array::from_fn(|_| *locator), ..header.clone() };
            if ParentNames::read(self.storage, &alone, self.context.limits).locators.is_empty() {
                let what = format!("parent locator {} holds no name that can be read", index + 1);
                self.tell(warning("vhd-locator-unreadable", what, place));
            }
        }
        if header.parent_id.is_nil() {
            let what = "the parent has no Unique ID by which it could be known";
            self.tell(warning("vhd-parent-unknown", what, at + PARENT_ID_AT as u64));
        }
        if ParentNames::read(self.storage, header, self.context.limits).candidates().is_empty() {
            self.tell(warning("vhd-parent-unnamed", "no field says where the parent is", at + LOCATORS_AT as u64));
        }
    }
}
