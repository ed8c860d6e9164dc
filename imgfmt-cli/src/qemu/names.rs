//! What a name on the command line means: a file, an address of something else, or a specification.
//!
//! Only names on the command line are taken apart here. Names in images are names of files, whatever they look like.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::json_name;
use crate::remote::Address;

/// What a name means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A file.
    File(PathBuf),
    /// An address of something that is no file of this host.
    Remote(Address),
    /// A specification: options with their values, by dotted names.
    Options(Vec<(String, String)>),
}

/// What `name` means.
///
/// # Errors
///
/// For what is no file: QEMU's other protocols.
pub(crate) fn meaning(name: &OsStr) -> Result<Meaning, Fault> {
    let shown = name.to_string_lossy();
    if name.is_empty() {
        return Err(refused(&shown, "The 'file' block driver requires a file name"));
    }
    let Some((protocol, rest)) = split(name) else { return Ok(Meaning::File(PathBuf::from(name))) };
    match protocol {
        "file" | "host_device" | "host_cdrom" => Ok(Meaning::File(PathBuf::from(rest))),
        "json" => json_name::options(&shown[protocol.len() + 1..])
            .map(Meaning::Options)
            .map_err(|what| refused(&shown, &what)),
        "nbd" | "nbd+tcp" | "nbd+unix" | "rbd" => match Address::parse(Path::new(name)) {
            Ok(Some(address)) => Ok(Meaning::Remote(address)),
            Ok(None) => Err(refused(&shown, "the address is no UTF-8")),
            Err(error) => Err(refused(&shown, &error.to_string())),
        },
        _ if NOT_FILES.contains(&protocol) => {
            let what = format!("The protocol '{protocol}' is not supported, only files, devices, nbd and rbd are");
            Err(refused(&shown, &what))
        }
        _ => Err(refused(&shown, &format!("Unknown protocol '{protocol}'"))),
    }
}

/// The protocol that `name` begins with, and what stands behind it. A colon behind a slash makes none.
fn split(name: &OsStr) -> Option<(&str, std::ffi::OsString)> {
    let bytes = name.as_bytes();
    let colon = bytes.iter().position(|byte| matches!(byte, b':' | b'/')).filter(|at| bytes[*at] == b':')?;
    let protocol = std::str::from_utf8(&bytes[..colon]).ok()?;
    Some((protocol, std::ffi::OsString::from_vec(bytes[colon + 1..].to_vec())))
}

/// What cannot be opened.
fn refused(name: &str, why: &str) -> Fault {
    Fault::new(format!("Could not open '{name}': {why}"))
}

/// QEMU's protocols that are no files.
const NOT_FILES: [&str; 28] = [
    "blkdebug",
    "blklogwrites",
    "blkverify",
    "fat",
    "ftp",
    "ftps",
    "gluster",
    "gluster+tcp",
    "gluster+unix",
    "http",
    "https",
    "iscsi",
    "iser",
    "nbds",
    "nfs",
    "null-aio",
    "null-co",
    "nvme",
    "quorum",
    "replication",
    "sheepdog",
    "sheepdog+tcp",
    "sheepdog+unix",
    "ssh",
    "throttle",
    "vvfat",
    "vxhs",
    "nbd+vsock",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_may_be_called_by_address() {
        let file = |name: &str| meaning(OsStr::new(name)).unwrap();
        for (name, path) in [
            ("a.img", "a.img"),
            ("./a:b", "./a:b"),
            ("/x/a:b", "/x/a:b"),
            ("file:a.img", "a.img"),
            ("file:///x/a.img", "///x/a.img"),
            ("host_device:/dev/vdb", "/dev/vdb"),
        ] {
            assert_eq!(file(name), Meaning::File(path.into()), "{name}");
        }
    }

    #[test]
    fn exports_and_images_of_pools_have_addresses() {
        for (name, shown) in [
            ("nbd:localhost:10809", "nbd://localhost:10809"),
            ("nbd+unix:///e?socket=/x", "nbd+unix:///e?socket=/x"),
            ("rbd:pool/name:id=user", "rbd:pool/name:id=user"),
        ] {
            match meaning(OsStr::new(name)).unwrap() {
                Meaning::Remote(address) => assert_eq!(address.to_string(), shown),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_file_is_refused_by_its_name() {
        for (name, why) in [
            ("nbd:localhost", "it has no port"),
            ("nbd+unix:///x", "it has no socket=PATH"),
            ("rbd:pool", "it has no pool and image"),
            ("nbds://host", "The protocol 'nbds' is not supported"),
            ("http://host/x", "The protocol 'http' is not supported"),
            ("foo:bar", "Unknown protocol 'foo'"),
            ("", "requires a file name"),
            ("json:{", "JSON"),
        ] {
            let fault = meaning(OsStr::new(name)).unwrap_err();
            assert!(fault.text().contains(why) && fault.code == 1, "{name}: {}", fault.text());
        }
    }
}
