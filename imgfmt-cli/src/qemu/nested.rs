//! Specifications with one driver upon another: parts of files, and raw images that are nothing but what lies below.

use imgfmt::FilePart;

use super::formats::{self, RAW, is_file_driver};
use super::{remote_options, sizes};
use crate::remote::Address;

/// Options with their values, by dotted names.
type List = Vec<(String, String)>;

/// An image as one driver upon a file, or upon what is no file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flat {
    /// What is left to be said of it.
    pub(crate) list: List,
    /// The part of the file in which it lies; nothing for all of it.
    pub(crate) part: Option<FilePart>,
    /// Where it is, if it is in no file.
    pub(crate) address: Option<Address>,
}

/// The same image as one driver upon a file, and the part of that file in which it lies.
///
/// # Errors
///
/// What is not supported, or makes no sense.
pub(crate) fn flattened(mut list: List) -> Result<Flat, String> {
    let mut part: Option<FilePart> = None;
    // The driver of a protocol alone is raw upon that.
    if value(&list, "driver").is_some_and(remote_options::is_driver) {
        list = list.into_iter().map(|(name, value)| (format!("file.{name}"), value)).collect();
        list.push(("driver".to_owned(), RAW.to_owned()));
    }
    loop {
        let Some(below) = value(&list, "file.driver").filter(|name| !is_file_driver(name)).map(str::to_owned) else {
            return Ok(Flat { list, part, address: None });
        };
        if remote_options::is_driver(&below) {
            let (of_address, list): (List, List) = list.into_iter().partition(|(name, _)| name.starts_with("file."));
            let address = Some(remote_options::address(&below, &renamed(of_address, "file.", ""))?);
            return Ok(Flat { list, part, address });
        }
        let raw_above =
            value(&list, "driver") == Some(RAW) && value(&list, "offset").or(value(&list, "size")).is_none();
        list = if below == RAW {
            let inner = FilePart { offset: size(&list, "file.offset")?.unwrap_or(0), len: size(&list, "file.size")? };
            part = Some(within(part, inner)?);
            list.retain(|(name, _)| !WINDOW.contains(&name.as_str()));
            renamed(list, "file.file.", "file.")
        } else if raw_above && formats::named(&below).is_some() {
            list.retain(|(name, _)| name != "driver");
            renamed(list, "file.", "")
        } else {
            return Err(format!("'{below}' is not supported as file.driver here, only file, raw, nbd and rbd are"));
        };
    }
}

/// The value of an option; the last one counts.
fn value<'a>(list: &'a List, name: &str) -> Option<&'a str> {
    list.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The value of an option that is a size.
fn size(list: &List, name: &str) -> Result<Option<u64>, String> {
    let short = name.trim_start_matches("file.");
    let wrong = |_| format!("Parameter '{short}' expects a non-negative number below 2^64");
    value(list, name).map(|text| sizes::bytes(text).map_err(wrong)).transpose()
}

/// The part `outer` of the part `inner` of a file.
fn within(outer: Option<FilePart>, inner: FilePart) -> Result<FilePart, String> {
    let outer = outer.unwrap_or_default();
    let left = match inner.len {
        Some(len) => Some(len.checked_sub(outer.offset).ok_or("the offset is beyond the end of the part below")?),
        None => None,
    };
    if outer.len.zip(left).is_some_and(|(len, left)| len > left) {
        return Err("the size is beyond the end of the part below".to_owned());
    }
    let offset = inner.offset.checked_add(outer.offset).ok_or("the offset is too large")?;
    Ok(FilePart { offset, len: outer.len.or(left) })
}

/// The same options, with names that begin with `new` where they began with `old`.
fn renamed(list: List, old: &str, new: &str) -> List {
    let name = |name: String| match name.strip_prefix(old) {
        Some(rest) => format!("{new}{rest}"),
        None => name,
    };
    list.into_iter().map(|(known, value)| (name(known), value)).collect()
}

/// What is said of a raw driver upon a file.
const WINDOW: [&str; 3] = ["file.driver", "file.offset", "file.size"];

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &str) -> Result<(String, Option<FilePart>), String> {
        let pair = |part: &str| part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
        let Flat { list, part, .. } = flattened(text.split(',').map(pair).collect())?;
        let list: Vec<_> = list.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Ok((list.join(","), part))
    }

    #[test]
    fn parts_of_parts_are_parts_of_the_file() {
        let text = "driver=qcow2,file.driver=raw,file.offset=512,file.size=1k,file.file.driver=raw,file.file.offset=4k,\
                    file.file.file.driver=file,file.file.file.filename=x";
        let expected = "driver=qcow2,file.driver=file,file.filename=x".to_owned();
        assert_eq!(flat(text), Ok((expected, Some(FilePart { offset: 4608, len: Some(1024) }))));
        for wrong in [
            "driver=qcow2,file.driver=raw,file.size=2k,file.file.driver=raw,file.file.size=1k,file.file.file.filename=x",
            "driver=qcow2,file.driver=raw,file.offset=2k,file.file.driver=raw,file.file.size=1k,file.file.file.filename=x",
            "driver=qcow2,file.driver=raw,file.offset=foo,file.file.filename=x",
            "driver=qcow2,file.driver=qcow2,file.file.filename=x",
            "driver=raw,offset=0,file.driver=qcow2,file.file.filename=x",
            "driver=raw,file.driver=nbd,file.file.filename=x",
            "driver=raw,file.driver=ssh,file.file.filename=x",
        ] {
            assert!(flat(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_raw_image_of_an_image_is_that_image() {
        let text = "driver=raw,file.driver=qcow2,file.file.filename=x,file.backing.file.filename=y";
        assert_eq!(flat(text), Ok(("driver=qcow2,file.filename=x,backing.file.filename=y".to_owned(), None)));
        let plain = "driver=qcow2,file.driver=file,file.filename=x,file.locking=off";
        assert_eq!(flat(plain), Ok((plain.to_owned(), None)));
    }
}
