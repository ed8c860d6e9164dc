//! What is said about an appliance, or an archive without a description.

use std::collections::HashSet;

use imgfmt_core::{Contents, Member, Result};
use serde_json::{Map, Value};

use crate::package::{Package, Place};
use crate::tar::File;

/// The disks of an appliance, and what else its description says.
///
/// # Errors
///
/// As [`Package::disks`].
pub(crate) fn of_package(package: &Package<'_>) -> Result<Contents> {
    let disks = package.disks()?;
    let members = disks
        .iter()
        .map(|(disk, file)| Member {
            name: file.href.clone(),
            len: file.size.or_else(|| len_of(package, &file.href)),
            capacity: disk.capacity,
            format: disk.format_name().map(str::to_owned),
        })
        .collect();
    let mut details = Map::new();
    details.insert("description".to_owned(), Value::from(package.name.clone()));
    say_systems(package, &mut details);
    say_manifest(package, &mut details);
    let empty = package.envelope.disks.iter().filter(|disk| disk.file_ref.is_none()).map(|disk| disk.id.clone());
    say_list("empty-disks", empty.collect(), &mut details);
    let hrefs: HashSet<_> = disks.iter().map(|(_, file)| &file.href).collect();
    let others = package.envelope.files.iter().filter(|file| !hrefs.contains(&file.href)).map(|file| file.href.clone());
    say_list("other-files", others.collect(), &mut details);
    Ok(Contents { members, details })
}

/// Bytes of the file called `href`, where it is in an archive.
fn len_of(package: &Package<'_>, href: &str) -> Option<u64> {
    match &package.place {
        Place::Archive { files, .. } => Some(files.get(href)?.len),
        Place::Folder => None,
    }
}

/// Says what the virtual machines are: of one its facts, of several a list.
fn say_systems(package: &Package<'_>, details: &mut Map<String, Value>) {
    match package.envelope.systems.as_slice() {
        [] => {}
        [one] => {
            details.insert("virtual-system".to_owned(), Value::Object(one.clone()));
        }
        several => {
            let list = several.iter().cloned().map(Value::Object).collect();
            details.insert("virtual-systems".to_owned(), Value::Array(list));
        }
    }
}

/// Says what hashes there are, and that a signature is not looked at.
fn say_manifest(package: &Package<'_>, details: &mut Map<String, Value>) {
    if let Some(manifest) = &package.manifest {
        let algorithm = manifest.algorithm().map_or_else(|| "empty".to_owned(), |algorithm| algorithm.to_string());
        details.insert("manifest".to_owned(), Value::from(algorithm));
        let unhashed = package.envelope.files.iter().map(|file| &file.href);
        let unhashed = unhashed.filter(|href| !manifest.has(href) && !manifest.has(&format!("{href}.000000000")));
        say_list("not-in-manifest", unhashed.cloned().collect(), details);
    }
    let Place::Archive { files, .. } = &package.place else { return };
    let mut certificates: Vec<_> = files.keys().filter(|name| name.ends_with(".cert")).cloned().collect();
    certificates.sort();
    say_list("certificates-not-verified", certificates, details);
}

/// The files of an archive without a description.
pub(crate) fn of_archive(files: &[File]) -> Contents {
    let members = disks_of(files)
        .map(|file| Member {
            name: file.name.clone(),
            len: Some(file.len),
            capacity: None,
            format: format_of(&file.name).map(str::to_owned),
        })
        .collect();
    let mut details = Map::new();
    let disks: HashSet<_> = disks_of(files).map(|file| &file.name).collect();
    let others = files.iter().filter(|file| !disks.contains(&file.name));
    say_list("other-files", others.map(|file| file.name.clone()).collect(), &mut details);
    Contents { members, details }
}

/// The disks of an archive without a description: where there is a `disk.raw`, as Google's cloud takes it, that one alone;
/// else every file but those in which macOS keeps the attributes of another one.
pub(crate) fn disks_of(files: &[File]) -> impl Iterator<Item = &File> {
    let has_raw = files.iter().any(|file| file.name == RAW_DISK);
    let is_attributes = |name: &str| name.rsplit('/').next().is_some_and(|name| name.starts_with("._"));
    files.iter().filter(move |file| if has_raw { file.name == RAW_DISK } else { !is_attributes(&file.name) })
}

/// The format that a name says.
fn format_of(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    let ending = ending.to_ascii_lowercase();
    ["vmdk", "vhd", "vhdx", "qcow2", "raw"].into_iter().find(|known| *known == ending)
}

/// Says a list, unless it is empty.
fn say_list(name: &str, list: Vec<String>, details: &mut Map<String, Value>) {
    if !list.is_empty() {
        details.insert(name.to_owned(), Value::from(list));
    }
}

/// The name of the disk in an archive for Google's cloud.
const RAW_DISK: &str = "disk.raw";
