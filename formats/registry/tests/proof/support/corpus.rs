//! Images of other producers, which are not in the repository.

use std::path::PathBuf;

use serde_json::Value;

use super::Outcome;
use super::say::skip;

/// An image of the corpus.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its name in the corpus.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The format that it is, or `raw`.
    pub(crate) format: String,
    /// The kind of the format.
    pub(crate) subformat: Option<String>,
    /// SHA-256 of the guest bytes, where the image has any to give.
    pub(crate) guest_sha256: Option<String>,
    /// Guest bytes of the disk, where they are known.
    pub(crate) virtual_size: Option<u64>,
    /// The file that it builds on, if that is known.
    pub(crate) parent: Option<String>,
    /// What readers on other machines made of it.
    readers: Value,
}

impl Entry {
    /// Whether the reader of that name is known to be wrong about the image, or to fail.
    pub(crate) fn fails_elsewhere(&self, reader: &str) -> bool {
        let said = self.readers[reader].as_str().unwrap_or("");
        !self.guest_sha256.as_ref().is_some_and(|hash| said.starts_with(hash.as_str()))
    }

    /// Where the file is that it builds on.
    pub(crate) fn parent_path(&self) -> Option<PathBuf> {
        Some(self.path.ancestors().nth(self.name.split('/').count())?.join(self.parent.as_ref()?))
    }

    /// The entry that `value` is.
    fn new(folder: &std::path::Path, value: &Value) -> Outcome<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let name = text("name").ok_or("an entry has no name")?;
        let format = text("format").ok_or_else(|| format!("{name} has no format"))?;
        // The guest bytes of a raw image are its own.
        let guest_sha256 = if format == "raw" { text("sha256") } else { text("guest_sha256") };
        Ok(Self {
            path: folder.join(&name),
            name,
            format,
            subformat: text("subformat"),
            guest_sha256,
            virtual_size: value["virtual_size"].as_u64(),
            parent: text("parent"),
            readers: value["readers"].clone(),
        })
    }
}

/// All images of the corpus, or `None` where there is no corpus and the test is to skip.
pub(crate) fn entries() -> Outcome<Option<Vec<Entry>>> {
    let Some(folder) = std::env::var_os("IMGFMT_CORPUS").map(PathBuf::from) else {
        skip("IMGFMT_REQUIRE_CORPUS", "IMGFMT_CORPUS does not name a folder of images");
        return Ok(None);
    };
    let manifest: Value = serde_json::from_slice(&std::fs::read(folder.join("manifest.json"))?)?;
    let entries = manifest["entries"].as_array().ok_or("the manifest has no entries")?;
    entries.iter().map(|entry| Entry::new(&folder, entry)).collect::<Outcome<Vec<_>>>().map(Some)
}
