//! Whether a disk builds on another, and how it names it.

use imgfmt_core::{Error, ErrorKind, ParentName, Result};

use crate::NAME;
use crate::descriptor::Descriptor;

/// The parent that `descriptor` names, if there is one.
///
/// A disk that has a parent without a name for it is an error: alone, it is not the disk.
pub(crate) fn named_by(descriptor: &Descriptor) -> Result<Option<ParentName>> {
    if let Some(name) = &descriptor.parent_hint {
        let name = descriptor.encoding.path(name)?;
        return Ok(Some(ParentName { name, format: Some(NAME.to_owned()) }));
    }
    if let Some(cid) = descriptor.parent_cid.filter(|&cid| cid != NO_PARENT) {
        let what = format!("is {cid:08x}, so there is a parent, but no parentFileNameHint names its file");
        return Err(Error::new(ErrorKind::Missing, what).field("parentCID"));
    }
    if let Some(uuid) = descriptor.database(PARENT_UUID).filter(|uuid| !is_null(uuid)) {
        let what = format!("the disk names its parent only by uuid {uuid}, which does not tell the file");
        return Err(Error::new(ErrorKind::Missing, what));
    }
    Ok(None)
}

/// Whether `uuid` has no digit but 0.
fn is_null(uuid: &str) -> bool {
    uuid.chars().all(|c| c == '0' || !c.is_ascii_hexdigit())
}

/// The identity that `CID` and `parentCID` are.
pub(crate) const CID: &str = "CID";
/// `parentCID` of a disk without a parent. "The Header".
pub(crate) const NO_PARENT: u32 = u32::MAX;
/// Where VirtualBox keeps the parent's identity, and nothing else.
const PARENT_UUID: &str = "uuid.parent";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use imgfmt_core::Limits;

    use super::*;

    fn parent(text: &str) -> Result<Option<ParentName>> {
        named_by(&Descriptor::parse(text.as_bytes(), &Limits::default()).unwrap())
    }

    #[test]
    fn a_parent_is_named_by_its_file() {
        let named = parent("parentCID=12\nparentFileNameHint=\"a b.vmdk\"").unwrap().unwrap();
        assert_eq!((named.name.as_path(), named.format.as_deref()), (Path::new("a b.vmdk"), Some("vmdk")));
        let virtual_box = "parentCID=ffffffff\nparentFileNameHint=\"a\"\nddb.uuid.parent=\"1-2\"";
        assert!(parent(virtual_box).unwrap().is_some());
    }

    #[test]
    fn a_disk_without_a_parent_is_one() {
        assert_eq!(parent("CID=1").unwrap(), None);
        let null = "parentCID=ffffffff\nparentFileNameHint=\"\"\nddb.uuid.parent=\"00000000-0000-0000\"";
        assert_eq!(parent(null).unwrap(), None);
    }

    #[test]
    fn a_parent_without_a_file_name_is_missing() {
        for text in ["parentCID=12", "parentCID=ffffffff\nddb.uuid.parent=\"0000-1\"", "uuid.parent=a"] {
            assert_eq!(parent(text).unwrap_err().kind(), ErrorKind::Missing, "{text}");
        }
    }
}
