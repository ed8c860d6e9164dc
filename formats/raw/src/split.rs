//! Disks that were cut into files `NAME.001`, `NAME.002` and so on.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::{Error, ErrorKind, Limits, OpenContext, Options, Result};

/// Whether a file goes on in others; the values of the option `split`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// Where it is called like the first of several.
    Auto,
    /// It is the first of several.
    On,
    /// It stands for itself.
    Off,
}

impl Split {
    /// What `options` say.
    pub(crate) fn of(options: &Options) -> Result<Self> {
        options.word("split", &[("auto", Self::Auto), ("on", Self::On), ("off", Self::Off)], Self::Auto)
    }
}

/// The files that a disk is made of, to be read or to be changed.
pub(crate) struct Files<S: ?Sized> {
    /// Those that were opened, the one that was named first.
    pub(crate) parts: Vec<Arc<S>>,
    /// Whether there may be more, which were not looked for.
    pub(crate) unseen: bool,
}

impl<S: ?Sized> Files<S> {
    /// One file that stands for itself.
    fn alone(storage: Arc<S>) -> Self {
        Self { parts: vec![storage], unseen: false }
    }
}

/// The file in `storage` and those in which it goes on, which `admit` opens.
pub(crate) fn join<S: ?Sized>(
    storage: Arc<S>,
    split: Split,
    context: &OpenContext<'_>,
    admit: &dyn Fn(&Path) -> Result<Arc<S>>,
) -> Result<Files<S>> {
    let stem = context.path.and_then(|path| Some((path, first_stem(path.file_name()?)?)));
    let (path, stem) = match (split, stem) {
        (Split::Off, _) | (Split::Auto, None) => return Ok(Files::alone(storage)),
        (Split::On, None) => {
            return Err(Error::invalid("split is on, but the name of the file does not end in .001"));
        }
        (Split::Auto | Split::On, Some(stem)) => stem,
    };
    if context.describe_only {
        return Ok(Files { parts: vec![storage], unseen: true });
    }
    let last = last_number(&stem, path, context)?;
    let mut parts = vec![storage];
    for number in 2..=last {
        let name = name_of(&stem, number);
        parts.push(admit(&name).map_err(|e| missing_part(e, &name, last))?);
    }
    Ok(Files { parts, unseen: false })
}

/// The number of the last part of the disk that starts in the file at `path`.
fn last_number(stem: &[u8], path: &Path, context: &OpenContext<'_>) -> Result<u64> {
    let names = context.gate.beside(path).map_err(|e| {
        e.context(format!(
            "whether {} goes on in other files cannot be seen (split=off takes it alone)",
            path.display()
        ))
    })?;
    let numbers: BTreeSet<u64> = names.iter().filter_map(|name| number_of(stem, name.file_name()?)).collect();
    let last = numbers.last().copied().unwrap_or(1);
    // Of the parts in between each is opened, so that a number far away cannot make this take long.
    if let Some(gap) = (2..last).find(|number| !numbers.contains(number)) {
        let (gap, last) = (name_of(stem, gap), name_of(stem, last));
        return Err(Error::new(
            ErrorKind::Missing,
            format!("{} is not there, but {} is", gap.display(), last.display()),
        ));
    }
    Limits::check("split files", last, context.limits.extents as u64)?;
    Ok(last)
}

/// What is said where a part that was seen cannot be opened.
fn missing_part(error: Error, name: &Path, last: u64) -> Error {
    error.context(format!("cannot open {}, a part of a disk of {last} files", name.display()))
}

/// The name of a first part without its number.
fn first_stem(name: &OsStr) -> Option<Vec<u8>> {
    let stem = name.as_bytes().strip_suffix(b".001")?;
    (!stem.is_empty()).then(|| stem.to_vec())
}

/// The number of the part called `name`, from 2 on.
fn number_of(stem: &[u8], name: &OsStr) -> Option<u64> {
    let digits = name.as_bytes().strip_prefix(stem)?.strip_prefix(b".")?;
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number >= 2 && digits == suffix(number).as_bytes()).then_some(number)
}

/// The name of part `number`.
fn name_of(stem: &[u8], number: u64) -> PathBuf {
    let mut name = stem.to_vec();
    name.push(b'.');
    name.extend(suffix(number).as_bytes());
    PathBuf::from(std::ffi::OsString::from_vec(name))
}

/// A number as names have it: at least three digits.
fn suffix(number: u64) -> String {
    format!("{number:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_from_001_on_and_pass_999() {
        assert_eq!(first_stem(OsStr::new("disk.raw.001")), Some(b"disk.raw".to_vec()));
        for other in ["disk.raw", ".001", "disk.0001", "disk.002"] {
            assert_eq!(first_stem(OsStr::new(other)), None, "{other}");
        }
        for number in [2, 10, 999, 1000] {
            assert_eq!(number_of(b"disk", name_of(b"disk", number).as_os_str()), Some(number));
        }
        for other in
            ["disk.2", "disk.0002", "disk.001", "disk.+02", "other.002", "disk002", "disk.999999999999999999999"]
        {
            assert_eq!(number_of(b"disk", OsStr::new(other)), None, "{other}");
        }
    }
}
