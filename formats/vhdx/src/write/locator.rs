//! The parent locator of a new differencing disk.

use imgfmt_core::{Backing, Error, Result};
use uuid::Uuid;

use crate::NAME;
use crate::layout::{
    ABSOLUTE_WIN32_PATH, DATA_WRITE_GUID, LOCATOR_ENTRIES_AT, LOCATOR_ENTRY_LEN, PARENT_LINKAGE, RELATIVE_PATH,
    VHDX_LOCATOR,
};

/// Builds the item for `backing`.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where it is no VHDX image, or has a name that Windows could not have.
pub(crate) fn build(backing: &Backing) -> Result<Vec<u8>> {
    let identity = backing.identities.iter().find(|identity| identity.kind == DATA_WRITE_GUID);
    let linkage = identity.and_then(|identity| Uuid::parse_str(&identity.value).ok());
    let right_format = backing.name.format.as_deref().is_none_or(|format| format == NAME);
    let Some(linkage) = linkage.filter(|_| right_format) else {
        return Err(Error::invalid("a VHDX image can only build on a VHDX image"));
    };
    let (key, path) = windows_path(backing)?;
    pairs(&[(PARENT_LINKAGE, &linkage.braced().to_string()), (key, &path)])
}

/// The key and the value that name the file: slashes become backslashes.
fn windows_path(backing: &Backing) -> Result<(&'static str, String)> {
    let shown = backing.name.name.display();
    let wrong = |what: &str| Error::invalid(format!("the backing file {shown} {what}"));
    let name = backing.name.name.to_str().ok_or_else(|| wrong("has a name that is not Unicode"))?;
    if name.is_empty() || name.contains(['\\', '\0']) {
        return Err(wrong("has a name that a parent locator cannot hold"));
    }
    let path = name.replace('/', "\\");
    Ok(match backing.name.name.is_absolute() {
        true => (ABSOLUTE_WIN32_PATH, format!(r"\\?\{path}")),
        false if path.starts_with('.') => (RELATIVE_PATH, path),
        false => (RELATIVE_PATH, format!(".\\{path}")),
    })
}

/// The item with these keys and values.
fn pairs(pairs: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut item = VHDX_LOCATOR.to_bytes_le().to_vec();
    item.extend([0, 0]);
    item.extend(narrow::<u16>(pairs.len())?.to_le_bytes());
    let mut texts = Vec::new();
    let start = LOCATOR_ENTRIES_AT + pairs.len() * LOCATOR_ENTRY_LEN;
    for (key, value) in pairs {
        let key_at = start + texts.len();
        texts.extend(key.encode_utf16().flat_map(u16::to_le_bytes));
        let value_at = start + texts.len();
        texts.extend(value.encode_utf16().flat_map(u16::to_le_bytes));
        item.extend(narrow::<u32>(key_at)?.to_le_bytes());
        item.extend(narrow::<u32>(value_at)?.to_le_bytes());
        item.extend(narrow::<u16>(value_at - key_at)?.to_le_bytes());
        item.extend(narrow::<u16>(start + texts.len() - value_at)?.to_le_bytes());
    }
    item.extend(texts);
    Ok(item)
}

/// A number of the item as it is stored.
fn narrow<T: TryFrom<usize>>(number: usize) -> Result<T> {
    T::try_from(number).map_err(|_| Error::invalid("the backing file has a name that is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locator::Locator;
    use imgfmt_core::{Identity, Limits, ParentName};

    /// The first name under which a reader looks for the file called `name`.
    fn round_trip(name: &str) -> Result<String> {
        let value = "f88d4d92-6fcc-408d-9bef-9b7c89f15c89".to_owned();
        let identities = vec![Identity { kind: DATA_WRITE_GUID, value }];
        let name = ParentName { name: name.into(), format: Some(NAME.to_owned()) };
        let item = build(&Backing { name, identities, ..Backing::default() })?;
        let parent = Locator::parse(&item, &Limits::default())?.parent();
        assert_eq!(parent.identity.unwrap().value, "f88d4d92-6fcc-408d-9bef-9b7c89f15c89");
        Ok(parent.names[0].to_str().unwrap().to_owned())
    }

    #[test]
    fn a_name_comes_back_as_it_was_given() {
        for name in ["base.vhdx", "../a/b.vhdx", "/srv/a b/c.vhdx", "ä/ö.vhdx", ".hidden"] {
            assert_eq!(round_trip(name).unwrap(), name);
        }
        assert!(round_trip(r"a\b").is_err());
        assert!(round_trip("").is_err());
        assert!(round_trip(&"x".repeat(40_000)).is_err());
    }

    #[test]
    fn only_a_vhdx_can_be_built_on() {
        let name = ParentName { name: "base.raw".into(), format: Some("raw".to_owned()) };
        assert!(build(&Backing { name, ..Backing::default() }).is_err());
    }
}
