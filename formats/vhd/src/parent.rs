//! The parent of a differencing disk, and the many ways to name it.

use std::path::PathBuf;

use imgfmt_core::{Identity, Limits, Parent, Storage, StorageExt};
use uuid::Uuid;

use crate::NAME;
use crate::header::{Header, Locator};
use crate::layout::{ABSOLUTE_WINDOWS, MAC_URL, PARENT_NAME_LEN, RELATIVE_WINDOWS};

/// How a differencing disk names its parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParentNames {
    /// `Parent Unicode Name`.
    pub(crate) unicode: Option<String>,
    /// The locators that can be read, and what they say.
    pub(crate) locators: Vec<([u8; 4], String)>,
}

impl ParentNames {
    /// Reads the names that `header` leads to. One that cannot be read is no name: another may do.
    pub(crate) fn read(storage: &dyn Storage, header: &Header, limits: &Limits) -> Self {
        let read = |locator: &Locator| {
            let len = u64::from(locator.len);
            Limits::check("Platform Data Length", len, limits.descriptor_bytes).ok()?;
            let bytes = storage.read_vec(locator.at, usize::try_from(len).ok()?).ok()?;
            Some((locator.code, decode(locator.code, &bytes)?))
        };
        Self { unicode: unicode_name(&header.parent_name), locators: header.locators.iter().filter_map(read).collect() }
    }

    /// The files that the parent may be in, the best guess first: where the locators say that it is relative to
    /// the child; then where it was, as far as that makes sense here; then beside the child.
    pub(crate) fn candidates(&self) -> Vec<PathBuf> {
        let of = |code: [u8; 4]| self.locators.iter().filter(move |(found, _)| *found == code).map(|(_, name)| name);
        let mut names: Vec<String> = of(RELATIVE_WINDOWS).filter_map(|name| relative(name)).collect();
        let others: Vec<&String> = of(ABSOLUTE_WINDOWS).chain(of(MAC_URL)).chain(&self.unicode).collect();
        names.extend(others.iter().filter(|name| name.starts_with('/')).map(|name| (*name).clone()));
        names.extend(others.iter().filter_map(|name| last_part(name)));
        names.extend(others.iter().filter_map(|name| relative(name)));
        let mut unique: Vec<PathBuf> = Vec::new();
        for name in names.into_iter().map(PathBuf::from) {
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        unique
    }

    /// Where the parent of `header` is, and by what it is known.
    pub(crate) fn parent(&self, header: &Header) -> Parent {
        let identity = Some(header.parent_id).filter(|id| !id.is_nil()).map(identity);
        Parent { names: self.candidates(), format: Some(NAME.to_owned()), identity }
    }
}

/// A `Unique Id` as something to be known by.
pub(crate) fn identity(id: Uuid) -> Identity {
    Identity { kind: IDENTITY_KIND, value: id.to_string() }
}

/// The text of a locator's data, where it is text.
fn decode(code: [u8; 4], bytes: &[u8]) -> Option<String> {
    let text = match code {
        RELATIVE_WINDOWS | ABSOLUTE_WINDOWS => {
            let (units, _) = bytes.as_chunks::<2>();
            utf16(units.iter().map(|&unit| u16::from_le_bytes(unit)))?
        }
        MAC_URL => path_of_url(std::str::from_utf8(bytes).ok()?.trim_end_matches('\0'))?,
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// `Parent Unicode Name`, where there is one. Nearly everybody writes it big-endian, as the specification has it;
/// it is the other way round where that gives text that starts with a character below 256.
fn unicode_name(bytes: &[u8; PARENT_NAME_LEN]) -> Option<String> {
    let (units, _) = bytes.as_chunks::<2>();
    let swapped = units[0][0] != 0 && units[0][1] == 0;
    let unit = |&unit: &[u8; 2]| if swapped { u16::from_le_bytes(unit) } else { u16::from_be_bytes(unit) };
    utf16(units.iter().map(unit)).filter(|name| !name.is_empty())
}

/// Text up to a 0, where it is text.
fn utf16(units: impl Iterator<Item = u16>) -> Option<String> {
    char::decode_utf16(units.take_while(|&unit| unit != 0)).collect::<Result<_, _>>().ok()
}

/// The path of a `file:` URL.
fn path_of_url(url: &str) -> Option<String> {
    let rest = url.strip_prefix("file://")?;
    let path = &rest[rest.find('/')?..];
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| {
            let hex = std::str::from_utf8(hex).ok()?;
            u8::from_str_radix(hex, 16).ok()
        });
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok()
}

/// `name` as a path relative to the child: without drive, and without what makes it absolute.
fn relative(name: &str) -> Option<String> {
    let name = name.replace('\\', "/");
    let name = match name.as_bytes() {
        [drive, b':', ..] if drive.is_ascii_alphabetic() => &name[2..],
        _ => &name,
    };
    let mut name = name.trim_start_matches('/');
    while let Some(rest) = name.strip_prefix("./") {
        name = rest.trim_start_matches('/');
    }
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

/// The name of the file alone.
fn last_part(name: &str) -> Option<String> {
    relative(name.rsplit(['/', '\\']).next()?).filter(|name| name != "..")
}

/// What a disk and its children call its identity: the specification's word for it.
pub(crate) const IDENTITY_KIND: &str = "unique id";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(unicode: &str, locators: &[(&[u8; 4], &str)]) -> Vec<String> {
        let names = ParentNames {
            unicode: Some(unicode.to_owned()).filter(|name| !name.is_empty()),
            locators: locators.iter().map(|&(code, name)| (*code, name.to_owned())).collect(),
        };
        names.candidates().iter().map(|name| name.display().to_string()).collect()
    }

    #[test]
    fn what_windows_writes_is_looked_for_beside_the_child_first() {
        let found = names(r"C:\disks\base.vhd", &[(b"W2ku", r"C:\disks\base.vhd"), (b"W2ru", r".\base.vhd")]);
        assert_eq!(found, ["base.vhd", "disks/base.vhd"]);
        let found = names("base.vhd", &[(b"W2ru", r"..\..\old\base.vhd")]);
        assert_eq!(found, ["../../old/base.vhd", "base.vhd"]);
    }

    #[test]
    fn what_virtual_box_writes_may_be_a_unix_path() {
        let found = names("base.vhd", &[(b"W2ku", "/vms/base.vhd"), (b"W2ru", "base.vhd")]);
        assert_eq!(found, ["base.vhd", "/vms/base.vhd", "vms/base.vhd"]);
    }

    #[test]
    fn a_mac_names_its_files_by_url() {
        let url = decode(*b"MacX", b"file://localhost/Users/a%20b/base.vhd\0").unwrap();
        assert_eq!(url, "/Users/a b/base.vhd");
        assert_eq!(names("", &[(b"MacX", &url)]), ["/Users/a b/base.vhd", "base.vhd", "Users/a b/base.vhd"]);
        assert_eq!(decode(*b"MacX", b"http://there/"), None);
        assert_eq!(path_of_url("file:///100%"), Some("/100%".to_owned()));
    }

    #[test]
    fn text_ends_at_a_zero_and_is_text() {
        assert_eq!(decode(*b"W2ku", b"a\0b\0\0\0c\0"), Some("ab".to_owned()));
        assert_eq!(decode(*b"W2ku", b"\0\xd8a\0"), None);
        assert_eq!(decode(*b"W2ku", b""), None);
        assert_eq!(decode(*b"Wi2r", b"a.vhd"), None);
        let mut bytes = [0; PARENT_NAME_LEN];
        assert_eq!(unicode_name(&bytes), None);
        bytes[..4].copy_from_slice(b"\0a\x20\xac");
        assert_eq!(unicode_name(&bytes), Some("a€".to_owned()));
        bytes[..4].copy_from_slice(b"a\0\xac\x20");
        assert_eq!(unicode_name(&bytes), Some("a€".to_owned()));
    }

    #[test]
    fn names_that_lead_nowhere_are_none() {
        assert!(names("", &[(b"W2ru", r".\"), (b"W2ku", "C:\\"), (b"W2ku", "..")]).iter().all(|name| name == ".."));
    }
}
