//! Names in descriptors, and names of the files beside one.

use std::ffi::OsStr;
use std::path::PathBuf;

use imgfmt_core::{Error, Result};

/// The name as it can stand between quotes in a descriptor, if it can.
pub(super) fn quotable(name: &OsStr) -> Option<&str> {
    let name = name.to_str()?;
    let breaks = |c: char| c == '"' || c.is_control();
    (!name.is_empty() && !name.contains(breaks)).then_some(name)
}

/// The name of the file that `suffix` tells from the descriptor: `disk.vmdk` has `disk-flat.vmdk` beside it.
pub(super) fn beside(file_name: Option<&OsStr>, suffix: &str) -> Result<(String, PathBuf)> {
    let name = file_name.ok_or_else(|| Error::invalid("an image of several files has to be a file that has a name"))?;
    let name = quotable(name).ok_or_else(|| {
        let what = format!("the file name {} cannot stand in a descriptor", name.display());
        Error::invalid(format!("{what}: it is not UTF-8, or has a quote or a control character"))
    })?;
    let beside = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => format!("{stem}-{suffix}.{extension}"),
        _ => format!("{name}-{suffix}"),
    };
    Ok((beside.clone(), PathBuf::from(beside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beside_has_the_suffix_before_the_extension() {
        let name = |name: &str| beside(Some(OsStr::new(name)), "s001").map(|(name, _)| name);
        assert_eq!(name("disk.vmdk").unwrap(), "disk-s001.vmdk");
        assert_eq!(name("a.b.img").unwrap(), "a.b-s001.img");
        assert_eq!(name("disk").unwrap(), "disk-s001");
        assert_eq!(name(".disk").unwrap(), ".disk-s001");
        assert!(name("a\"b").is_err() && name("a\nb").is_err() && beside(None, "flat").is_err());
    }
}
