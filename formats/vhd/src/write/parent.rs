//! What a new differencing disk says of its parent.

use std::path::Path;

use imgfmt_core::{Backing, Error, Result};
use uuid::Uuid;

use crate::NAME;
use crate::header::Locator;
use crate::layout::{ABSOLUTE_WINDOWS, LOCATOR_COUNT, PARENT_NAME_LEN, RELATIVE_WINDOWS, SECTOR_LEN};
use crate::parent::IDENTITY_KIND;

/// What goes into the header, and behind the table.
#[derive(Clone, Debug)]
pub(crate) struct ParentFields {
    /// `Parent Unique ID`.
    pub(crate) unique_id: Uuid,
    /// `Parent Unicode Name`.
    pub(crate) name: [u8; PARENT_NAME_LEN],
    /// Guest bytes of the parent.
    pub(crate) size: u64,
    /// The locators and their data.
    names: Vec<([u8; 4], Vec<u8>)>,
}

impl ParentFields {
    /// The fields for `backing`, which has to be a VHD.
    pub(crate) fn new(backing: &Backing) -> Result<Self> {
        if let Some(format) = backing.name.format.as_deref().filter(|format| ![NAME, "vpc"].contains(format)) {
            return Err(Error::invalid(format!("the backing file of a VHD has to be a VHD, not {format}")));
        }
        let stored = &backing.name.name;
        let absolute = backing.path.as_deref().or(Some(stored.as_path())).filter(|path| path.is_absolute());
        let mut names = Vec::new();
        if let Some(path) = absolute {
            names.push((ABSOLUTE_WINDOWS, utf16_le(text(path)?)));
        }
        if stored.is_relative() {
            names.push((RELATIVE_WINDOWS, utf16_le(&relative(text(stored)?))));
        }
        let file_name = stored.file_name().ok_or_else(|| Error::invalid("the backing file has no name"))?;
        Ok(Self {
            unique_id: unique_id(backing)?,
            name: name_field(text(file_name.as_ref())?)?,
            size: backing.size,
            names,
        })
    }

    /// The locators, whose data starts at byte `at`.
    pub(crate) fn locators(&self, at: u64) -> [Locator; LOCATOR_COUNT] {
        let mut locators = [Locator::default(); LOCATOR_COUNT];
        let mut next = at;
        for (locator, (code, data)) in locators.iter_mut().zip(&self.names) {
            let space = space_of(data);
            let len = |len: u64| u32::try_from(len).unwrap_or(u32::MAX);
            *locator = Locator { code: *code, space: len(space), len: len(data.len() as u64), at: next };
            next += space;
        }
        locators
    }

    /// The data of the locators, one behind the other, each in whole sectors.
    pub(crate) fn locator_data(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (_, data) in &self.names {
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(SECTOR_LEN as usize), 0);
        }
        bytes
    }
}

/// Bytes that `data` takes in whole sectors.
fn space_of(data: &[u8]) -> u64 {
    (data.len() as u64).next_multiple_of(SECTOR_LEN)
}

/// The parent's identity.
fn unique_id(backing: &Backing) -> Result<Uuid> {
    let mut known = backing.identities.iter().filter(|identity| identity.kind == IDENTITY_KIND);
    let id = known.find_map(|identity| Uuid::parse_str(&identity.value).ok());
    id.ok_or_else(|| Error::invalid("the backing file has no unique id: only a VHD can be the parent of a VHD"))
}

/// A path as the text that is stored for it.
fn text(path: &Path) -> Result<&str> {
    let shown = path.display();
    let text =
        path.to_str().ok_or_else(|| Error::invalid(format!("the name {shown} is not UTF-8, as a VHD needs it")))?;
    if text.contains(['\\', '\0']) {
        return Err(Error::invalid(format!("the name {shown} has a backslash, which parts folders in a VHD")));
    }
    Ok(text)
}

/// `name` as Windows writes a path relative to the child.
fn relative(name: &str) -> String {
    let prefix = if name.starts_with('.') { "" } else { ".\\" };
    format!("{prefix}{}", name.replace('/', "\\"))
}

/// Text as a locator has it.
fn utf16_le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Text as `Parent Unicode Name` has it, with a 0 at its end.
fn name_field(name: &str) -> Result<[u8; PARENT_NAME_LEN]> {
    let mut field = [0; PARENT_NAME_LEN];
    let bytes: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    match field.get_mut(..bytes.len()) {
        Some(part) if bytes.len() < PARENT_NAME_LEN => part.copy_from_slice(&bytes),
        _ => return Err(Error::invalid(format!("the name {name} is longer than a VHD can store"))),
    }
    Ok(field)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use imgfmt_core::{Identity, ParentName};

    use super::*;

    fn backing(name: &str, path: Option<&str>) -> Backing {
        Backing {
            name: ParentName { name: PathBuf::from(name), format: Some(NAME.to_owned()) },
            path: path.map(PathBuf::from),
            identities: vec![Identity { kind: IDENTITY_KIND, value: Uuid::from_bytes([9; 16]).to_string() }],
            size: 512,
        }
    }

    #[test]
    fn a_parent_is_named_where_it_is_and_from_the_child() {
        let fields = ParentFields::new(&backing("old/base.vhd", Some("/disks/old/base.vhd"))).unwrap();
        assert_eq!(fields.unique_id, Uuid::from_bytes([9; 16]));
        assert_eq!(fields.name[..18], *b"\0b\0a\0s\0e\0.\0v\0h\0d\0\0");
        let locators = fields.locators(4096);
        assert_eq!(locators[0], Locator { code: *b"W2ku", space: 512, len: 38, at: 4096 });
        assert_eq!(locators[1], Locator { code: *b"W2ru", space: 512, len: 28, at: 4608 });
        assert_eq!(locators[2], Locator::default());
        assert_eq!(fields.locator_data().len(), 1024);
        assert_eq!(fields.locator_data()[512..520], *b".\0\\\0o\0l\0");
        let absolute = ParentFields::new(&backing("/disks/base.vhd", None)).unwrap();
        assert_eq!(absolute.names.len(), 1);
    }

    #[test]
    fn parents_that_cannot_be_named_or_known_are_refused() {
        for name in ["..", "/", "a\\b.vhd", &"x".repeat(256)] {
            assert!(ParentFields::new(&backing(name, None)).is_err(), "{name}");
        }
        let mut other = backing("base", None);
        other.name.format = Some("raw".to_owned());
        assert!(ParentFields::new(&other).is_err());
        assert!(ParentFields::new(&Backing { identities: Vec::new(), ..backing("base.vhd", None) }).is_err());
    }
}
