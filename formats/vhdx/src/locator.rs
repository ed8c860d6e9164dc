//! The parent locator: keys and values that say where the parent is, and which file it is.

use std::path::PathBuf;

use imgfmt_core::{Error, Identity, Limits, Parent, Result};
use uuid::Uuid;

use crate::NAME;
use crate::fields::{guid_at, u16_at, u32_at, utf16};
use crate::layout::{
    ABSOLUTE_WIN32_PATH, DATA_WRITE_GUID, LOCATOR_COUNT_AT, LOCATOR_ENTRIES_AT, LOCATOR_ENTRY_LEN, PARENT_LINKAGE,
    RELATIVE_PATH, VHDX_LOCATOR, VOLUME_PATH,
};

/// Where the parent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Locator {
    /// Keys and values, as they are stored.
    pub(crate) pairs: Vec<(String, String)>,
    /// The parent's `DataWriteGuid`.
    pub(crate) linkage: Uuid,
}

impl Locator {
    /// Parses the item.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where a rule is broken,
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for a parent that is no VHDX file.
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self> {
        if bytes.len() < LOCATOR_ENTRIES_AT {
            return Err(Error::malformed(format!("has {} bytes", bytes.len())).field("parent locator"));
        }
        let kind = guid_at(bytes, 0);
        if kind != VHDX_LOCATOR {
            return Err(Error::unsupported(format!("is {kind}, which is not known")).field("LocatorType"));
        }
        let count = u16_at(bytes, LOCATOR_COUNT_AT);
        Limits::check("KeyValueCount", u64::from(count), limits.items)?;
        let entries = LOCATOR_ENTRIES_AT + usize::from(count) * LOCATOR_ENTRY_LEN;
        let table = bytes.get(LOCATOR_ENTRIES_AT..entries).ok_or_else(|| {
            let what = format!("is {count}, more than {} bytes have room for", bytes.len());
            Error::malformed(what).field("KeyValueCount")
        })?;
        let mut pairs: Vec<(String, String)> = Vec::new();
        // Entries may all name the same bytes: what they come to is bounded, not only how many there are.
        let mut room = limits.descriptor_bytes;
        for entry in table.chunks_exact(LOCATOR_ENTRY_LEN) {
            let key = text(bytes, u32_at(entry, 0), u16_at(entry, 8))?;
            let value = text(bytes, u32_at(entry, 4), u16_at(entry, 10))?;
            let len = (key.len() + value.len()) as u64;
            room = room.checked_sub(len).ok_or_else(|| Error::limit("the parent locator is too long"))?;
            pairs.push((key, value));
        }
        check_unique(&pairs)?;
        let linkage = linkage(&pairs)?;
        Ok(Self { pairs, linkage })
    }

    /// The value of `key`.
    fn get(&self, key: &str) -> Option<&str> {
        find(&self.pairs, key)
    }

    /// How to find and know the parent: in the order of § 2.6.2.6.3 as the child sees it, then where Windows had it; and
    /// last beside the child.
    pub(crate) fn parent(&self) -> Parent {
        let mut names: Vec<PathBuf> = Vec::new();
        let mut add = |name: String| {
            let name = PathBuf::from(name);
            if !name.as_os_str().is_empty() && !names.contains(&name) {
                names.push(name);
            }
        };
        self.get(RELATIVE_PATH).map(relative).into_iter().for_each(&mut add);
        let absolute = [self.get(VOLUME_PATH), self.get(ABSOLUTE_WIN32_PATH)];
        absolute.into_iter().flatten().map(without_drive).for_each(&mut add);
        let all = [self.get(RELATIVE_PATH), absolute[0], absolute[1]];
        all.into_iter().flatten().map(file_name).for_each(&mut add);
        let identity = Identity { kind: DATA_WRITE_GUID, value: self.linkage.to_string() };
        Parent { names, format: Some(NAME.to_owned()), identity: Some(identity) }
    }
}

/// Checks that no key is there twice: two readers could take it for two different parents.
fn check_unique(pairs: &[(String, String)]) -> Result<()> {
    let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::malformed(format!("has the key {:?} twice", pair[0])).field("parent locator")),
        None => Ok(()),
    }
}

/// The parent's identifier.
fn linkage(pairs: &[(String, String)]) -> Result<Uuid> {
    let value = find(pairs, PARENT_LINKAGE)
        .ok_or_else(|| Error::malformed("is missing from the parent locator").field(PARENT_LINKAGE))?;
    Uuid::parse_str(value)
        .map_err(|_| Error::malformed(format!("is {value:?}, which is no GUID")).field(PARENT_LINKAGE))
}

/// The value of the first pair with this key.
fn find<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

/// The text of `len` bytes at `offset`.
fn text(bytes: &[u8], offset: u32, len: u16) -> Result<String> {
    let (start, len) = (offset as usize, usize::from(len));
    let range = start..start.saturating_add(len);
    let units = bytes.get(range).filter(|_| len.is_multiple_of(2)).ok_or_else(|| {
        let what = format!("of {len} bytes at {offset} does not fit into {} bytes", bytes.len());
        Error::malformed(what).field("key or value")
    })?;
    Ok(utf16(units))
}

/// A path that begins where the child is.
fn relative(path: &str) -> String {
    let path = path.replace('\\', "/");
    path.strip_prefix("./").unwrap_or(&path).to_owned()
}

/// A path without what only Windows knows: `\\?\`, and the drive or volume before the first folder. What follows `\\?\`
/// is never relative.
fn without_drive(path: &str) -> String {
    let Some(bare) = path.strip_prefix(r"\\?\") else {
        return without_volume(path).replace('\\', "/");
    };
    let bare = match bare.strip_prefix(r"UNC\") {
        Some(share) => format!(r"\\{share}"),
        None => without_volume(bare).to_owned(),
    };
    let root = if bare.starts_with('\\') { "" } else { "/" };
    format!("{root}{}", bare.replace('\\', "/"))
}

/// A path from its first folder on, where a drive or a volume comes before that.
fn without_volume(path: &str) -> &str {
    let volume = path.find('\\').filter(|&end| path[..end].ends_with([':', '}']));
    &path[volume.unwrap_or(0)..]
}

/// The last part of a path.
fn file_name(path: &str) -> String {
    path.rsplit(['\\', '/']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgfmt_core::ErrorKind;

    /// The locator with these keys and values.
    fn locator(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = VHDX_LOCATOR.to_bytes_le().to_vec();
        bytes.extend([0, 0, pairs.len() as u8, 0]);
        let mut texts = Vec::new();
        let start = LOCATOR_ENTRIES_AT + pairs.len() * LOCATOR_ENTRY_LEN;
        for pair in pairs {
            let [key, value] =
                [pair.0, pair.1].map(|s| s.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
            let key_at = (start + texts.len()) as u32;
            bytes.extend(key_at.to_le_bytes());
            bytes.extend((key_at + key.len() as u32).to_le_bytes());
            bytes.extend((key.len() as u16).to_le_bytes());
            bytes.extend((value.len() as u16).to_le_bytes());
            texts.extend(key);
            texts.extend(value);
        }
        bytes.extend(texts);
        bytes
    }

    const LINKAGE: (&str, &str) = (PARENT_LINKAGE, "{F88D4D92-6fcc-408d-9bef-9b7c89f15c89}");

    #[test]
    fn names_are_tried_from_the_nearest_to_the_farthest() {
        let bytes = locator(&[
            LINKAGE,
            (ABSOLUTE_WIN32_PATH, r"C:\disks\base\parent.vhdx"),
            (RELATIVE_PATH, r"..\base\parent.vhdx"),
            (VOLUME_PATH, r"\\?\Volume{5e0bd954-71b2-4bff-a928-082af7ab0f8f}\disks\base\parent.vhdx"),
        ]);
        let parent = Locator::parse(&bytes, &Limits::default()).unwrap().parent();
        let names: Vec<_> = parent.names.iter().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["../base/parent.vhdx", "/disks/base/parent.vhdx", "parent.vhdx"]);
        assert_eq!(parent.identity.unwrap().value, "f88d4d92-6fcc-408d-9bef-9b7c89f15c89");
        assert_eq!(parent.format.as_deref(), Some("vhdx"));
    }

    #[test]
    fn windows_prefixes_go_and_the_rest_stays() {
        for (path, name) in [
            (r"C:\a\b.vhdx", "/a/b.vhdx"),
            (r"\\?\C:\a\b.vhdx", "/a/b.vhdx"),
            (r"\a\b.vhdx", "/a/b.vhdx"),
            (r"\\server\share\b.vhdx", "//server/share/b.vhdx"),
            (r"\\?\UNC\server\share\b.vhdx", "//server/share/b.vhdx"),
            (r"\\?\server\share\b.vhdx", "/server/share/b.vhdx"),
            (r"\\?\Volume{26a21bda}\a\b.vhdx", "/a/b.vhdx"),
            (r"\\?\\a\b.vhdx", "/a/b.vhdx"),
            ("b.vhdx", "b.vhdx"),
        ] {
            assert_eq!(without_drive(path), name);
        }
        assert_eq!(relative(r".\b.vhdx"), "b.vhdx");
    }

    #[test]
    fn what_is_missing_or_out_of_place_is_an_error() {
        let limits = Limits::default();
        let kind = |bytes: &[u8]| Locator::parse(bytes, &limits).unwrap_err().kind();
        assert_eq!(kind(&locator(&[(RELATIVE_PATH, "x")])), ErrorKind::Malformed);
        assert_eq!(kind(&locator(&[(PARENT_LINKAGE, "x")])), ErrorKind::Malformed);
        assert_eq!(kind(&locator(&[LINKAGE, (RELATIVE_PATH, "x"), (RELATIVE_PATH, "y")])), ErrorKind::Malformed);
        let mut bytes = locator(&[LINKAGE]);
        bytes.truncate(bytes.len() - 1);
        assert_eq!(kind(&bytes), ErrorKind::Malformed);
        bytes.truncate(10);
        assert_eq!(kind(&bytes), ErrorKind::Malformed);
        let mut bytes = locator(&[LINKAGE]);
        bytes[0] ^= 1;
        assert_eq!(kind(&bytes), ErrorKind::Unsupported);
    }

    #[test]
    fn pairs_that_share_their_bytes_are_bounded() {
        let long = "x".repeat(30_000);
        let mut pairs = vec![LINKAGE, ("key", &long)];
        pairs.resize(200, ("", ""));
        let mut bytes = locator(&pairs);
        let (table, _) = bytes[LOCATOR_ENTRIES_AT..].split_at_mut(200 * LOCATOR_ENTRY_LEN);
        let entry = table[LOCATOR_ENTRY_LEN..2 * LOCATOR_ENTRY_LEN].to_vec();
        table[LOCATOR_ENTRY_LEN..].chunks_mut(LOCATOR_ENTRY_LEN).for_each(|other| other.copy_from_slice(&entry));
        assert_eq!(Locator::parse(&bytes, &Limits::default()).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }
}
