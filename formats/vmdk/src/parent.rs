//! Whether a disk builds on another, and how it knows it.

use std::path::{Path, PathBuf};

use imgfmt_core::{Error, ErrorKind, Identity, Parent, ParentName, Result};

use crate::NAME;
use crate::descriptor::Descriptor;

/// The parent of the disk that `descriptor` describes, if there is one.
///
/// A disk that has a parent without a name or a unique identity for it is an error: alone, it is not the disk.
pub(crate) fn of(descriptor: &Descriptor) -> Result<Option<Parent>> {
    let cid = descriptor.parent_cid.filter(|&cid| cid != NO_PARENT);
    let uuid = descriptor.database("uuid.parent").filter(|uuid| !is_null(uuid));
    let by_cid = || cid.map(|cid| Identity { kind: CID, value: format!("{cid:08x}") });
    let by_uuid = || uuid.map(|uuid| Identity { kind: UUID, value: uuid.to_lowercase() });
    let format = Some(NAME.to_owned());
    if let Some(hint) = &descriptor.parent_hint {
        let identity = by_cid().or_else(by_uuid);
        let hint = descriptor.encoding.path(hint)?;
        let names = match last_name(&hint) {
            // What the file beside the child is, its identity tells.
            Some(last) if identity.is_some() => vec![hint, last],
            _ => vec![hint],
        };
        return Ok(Some(Parent { names, format, identity }));
    }
    if let Some(identity) = by_uuid() {
        return Ok(Some(Parent { names: Vec::new(), format, identity: Some(identity) }));
    }
    match cid {
        None => Ok(None),
        Some(cid) => {
            let what = format!("is {cid:08x}, so there is a parent, but no parentFileNameHint names its file");
            Err(Error::new(ErrorKind::Missing, what).field("parentCID"))
        }
    }
}

/// By what children can know the disk that `descriptor` describes.
pub(crate) fn identities(descriptor: &Descriptor) -> Vec<Identity> {
    let cid = descriptor.cid.map(|cid| Identity { kind: CID, value: format!("{cid:08x}") });
    let uuid = descriptor.database("uuid.image").filter(|uuid| !is_null(uuid));
    let uuid = uuid.map(|uuid| Identity { kind: UUID, value: uuid.to_lowercase() });
    cid.into_iter().chain(uuid).collect()
}

/// How a parent is named to people: by its file, or by the identity that it is searched by.
pub(crate) fn shown(parent: &Parent) -> ParentName {
    let by_identity = || parent.identity.as_ref().map(|identity| PathBuf::from(&identity.value));
    let name = parent.names.first().cloned().or_else(by_identity);
    ParentName { name: name.unwrap_or_default(), format: parent.format.clone() }
}

/// The last part of a name that has folders, of this kind of host or of Windows.
fn last_name(name: &Path) -> Option<PathBuf> {
    let text = name.to_str()?;
    let (_, last) = text.rsplit_once(['/', '\\'])?;
    (!last.is_empty() && last != "..").then(|| last.into())
}

/// Whether `uuid` has no digit but 0.
fn is_null(uuid: &str) -> bool {
    uuid.chars().all(|c| c == '0' || !c.is_ascii_hexdigit())
}

/// The identity that `CID` and `parentCID` are.
pub(crate) const CID: &str = "CID";
/// The identity that VirtualBox gives a disk, and that its children have as `ddb.uuid.parent`.
const UUID: &str = "ddb.uuid.image";
/// `parentCID` of a disk without a parent. "The Header".
pub(crate) const NO_PARENT: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use imgfmt_core::Limits;

    use super::*;

    fn descriptor(text: &str) -> Descriptor {
        Descriptor::parse(text.as_bytes(), &Limits::default()).unwrap()
    }

    fn parent(text: &str) -> Result<Option<Parent>> {
        of(&descriptor(text))
    }

    /// Names and identity of the parent, as text.
    fn found(text: &str) -> (Vec<String>, Option<String>) {
        let parent = parent(text).unwrap().unwrap();
        let names = parent.names.iter().map(|name| name.display().to_string()).collect();
        (names, parent.identity.map(|identity| format!("{}={}", identity.kind, identity.value)))
    }

    #[test]
    fn a_parent_is_named_by_its_file_and_known_by_its_identity() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let cid = Some("CID=00000012".to_owned());
        assert_eq!(found("parentCID=12\nparentFileNameHint=\"a b.vmdk\""), (names(&["a b.vmdk"]), cid.clone()));
        let far = "parentCID=12\nparentFileNameHint=\"C:\\vm\\a.vmdk\"";
        assert_eq!(found(far), (names(&["C:\\vm\\a.vmdk", "a.vmdk"]), cid));
        let unknown = "parentCID=ffffffff\nparentFileNameHint=\"/vm/a.vmdk\"";
        assert_eq!(found(unknown), (names(&["/vm/a.vmdk"]), None), "nothing would tell that it is the right one");
        let uuid = "parentCID=ffffffff\nparentFileNameHint=\"a\"\nddb.uuid.parent=\"ABC-2\"";
        assert_eq!(found(uuid), (names(&["a"]), Some("ddb.uuid.image=abc-2".to_owned())));
    }

    #[test]
    fn virtualbox_names_a_parent_by_its_identity_alone() {
        let text = "parentCID=ffffffff\nddb.uuid.parent=\"0000-1\"";
        assert_eq!(found(text), (vec![], Some("ddb.uuid.image=0000-1".to_owned())));
        assert_eq!(shown(&parent(text).unwrap().unwrap()).name, Path::new("0000-1"));
        let image = descriptor("CID=1\nddb.uuid.image=\"0000-1\"");
        assert_eq!(identities(&image)[1], Identity { kind: UUID, value: "0000-1".to_owned() });
    }

    #[test]
    fn a_disk_without_a_parent_is_one() {
        assert_eq!(parent("CID=1").unwrap(), None);
        let null = "parentCID=ffffffff\nparentFileNameHint=\"\"\nddb.uuid.parent=\"00000000-0000-0000\"";
        assert_eq!(parent(null).unwrap(), None);
    }

    #[test]
    fn a_parent_that_is_known_by_its_content_alone_is_missing() {
        // Many disks have the CID of a new one.
        assert_eq!(parent("parentCID=fffffffe").unwrap_err().kind(), ErrorKind::Missing);
    }
}
