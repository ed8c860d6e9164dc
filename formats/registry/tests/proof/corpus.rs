//! Images of other producers convert to their known content, or are refused with a word on where.

use std::path::Path;
use std::sync::Mutex;

use imgfmt::probe::probe;
use imgfmt::{Access, Beneath, ConvertRequest, Error, ErrorKind, FORMATS, FileStorage, Image};

use super::support::Outcome;
use super::support::compare::{hash, open, same_guest};
use super::support::corpus::{Entry, entries};
use super::support::say::{say, whole_message};

#[test]
fn images_of_other_producers_convert_or_are_refused() -> Outcome {
    let Some(mut ours) = entries()? else { return Ok(()) };
    ours.retain(|entry| ["vmdk", "qcow2", "raw"].contains(&entry.format.as_str()));
    assert!(!ours.is_empty(), "the corpus has no image of these formats");
    // The last is taken first, and one of them takes longer than all others.
    ours.sort_by_key(|entry| entry.name.contains("version3"));
    let (todo, table) = (Mutex::new(ours), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(entry) = { todo.lock().unwrap().pop() } {
                    let outcome = judge(&entry).map_err(|e| e.to_string());
                    table.lock().unwrap().push((entry.name, outcome));
                }
            });
        }
    });
    let mut table = table.into_inner().unwrap();
    table.sort();
    let wrong = table.iter().filter(|(_, outcome)| outcome.is_err()).count();
    for (name, outcome) in &table {
        say(&match outcome {
            Ok(what) => format!("  {name:50} {what}"),
            Err(what) => format!("! {name:50} {what}"),
        });
    }
    assert_eq!(wrong, 0, "of {} images, {wrong} are not what the manifest says; they are listed above", table.len());
    Ok(())
}

#[test]
fn images_of_other_formats_are_not_claimed() -> Outcome {
    for entry in entries()?.unwrap_or_default() {
        let storage = FileStorage::open(&entry.path)?;
        let claims: Vec<_> = probe(FORMATS, &storage)?.iter().map(|claim| claim.format.name()).collect();
        let expected: &[&str] = match entry.format.as_str() {
            // Version 1 has the magic of its successors, which is reason enough not to take it for raw.
            "qcow" => &["qcow2"],
            "qcow2" => &["qcow2"],
            "vmdk" => &["vmdk"],
            _ => &[],
        };
        assert_eq!(claims, expected, "{}", entry.name);
    }
    Ok(())
}

/// Converts an image that has content, or sees how it is refused; returns what there is to say.
fn judge(entry: &Entry) -> Outcome<String> {
    let opened = open(&entry.path, Some(&entry.format));
    match (&entry.guest_sha256, opened) {
        (Some(wanted), Ok(disk)) => converts(entry, &disk, wanted),
        (Some(_), Err(error)) if entry.parent.is_some() && error.kind() == ErrorKind::Missing => {
            refused(entry, &error).map(|what| format!("{what} (its parent has to be named)"))
        }
        (Some(_), Err(error)) => Err(format!("cannot be opened: {}", whole_message(&error)).into()),
        (None, Ok(disk)) => match hash(&disk) {
            Err(error) => refused(entry, &error),
            Ok(_) => Err(format!("reads as a disk of {} bytes and is none", disk.size()).into()),
        },
        (None, Err(error)) => refused(entry, &error),
    }
}

/// Checks that an error says where: the byte, or the file; and what it is known to say about this image.
fn refused(entry: &Entry, error: &Error) -> Outcome<String> {
    let text = whole_message(error);
    // The image's own name, in "cannot open …", is no place.
    let reason = text.split_once(": ").map_or(text.as_str(), |(_, reason)| reason);
    let what = format!("refused, {}: {reason}", error.kind().name());
    let expected = REFUSALS.iter().find(|(name, ..)| *name == entry.name);
    let right = match expected {
        Some((_, kind, word)) => error.kind() == *kind && reason.contains(word),
        None => reason.contains("byte ") || reason.contains("which the image names"),
    };
    if right { Ok(what) } else { Err(format!("{what}, but {expected:?} is expected").into()) }
}

/// Converts by name and by probing, to raw and to qcow2, and compares the content with what it shall be.
fn converts(entry: &Entry, disk: &dyn Image, wanted: &str) -> Outcome<String> {
    let folder = tempfile::tempdir()?;
    let (raw, qcow2) = (folder.path().join("disk.raw"), folder.path().join("disk.qcow2"));
    convert(entry, None, &raw, "raw")?;
    let bytes = open(&raw, Some("raw"))?;
    let (size, found) = hash(&bytes)?;
    if found != wanted || size != disk.size() {
        return Err(
            format!("as raw: {size} bytes with the hash {found} instead of {} with {wanted}", disk.size()).into()
        );
    }
    same_guest(disk, &bytes).map_err(|e| format!("read without converting: {e}"))?;
    convert(entry, Some(&entry.format), &qcow2, "qcow2")?;
    let again = open(&qcow2, None)?;
    same_guest(&again, &bytes).map_err(|e| format!("as qcow2: {e}"))?;
    Ok(format!("{} {size} bytes, {}", entry.subformat.as_deref().unwrap_or(""), &found[..8]))
}

/// Converts an image; without a format, what nothing claims is raw.
fn convert(entry: &Entry, format: Option<&str>, to: &Path, target_format: &str) -> Outcome {
    let mut gate = Beneath::new();
    gate.allow_beside(&entry.path)?;
    let mut request = ConvertRequest::new(&entry.path, to, target_format);
    request.sources.iter_mut().for_each(|source| source.format = format.map(str::to_owned));
    request.access = Access { gate: &gate, ..Access::default() };
    imgfmt::convert(&request).map_err(|e| format!("to {target_format}: {}", whole_message(&e)))?;
    Ok(())
}

/// Refusals, with their kind and what they have to name: the type that cannot be read yet, the file that is not
/// there, or the field that is wrong.
const REFUSALS: &[(&str, ErrorKind, &str)] = &[
    ("cdi/cirros-snapshot1.qcow2", ErrorKind::Missing, "cirros.raw"),
    ("cdi/cirros-snapshot2.qcow2", ErrorKind::Missing, "cirros.raw"),
    ("cdi/invalid-qcow-large-memory.img", ErrorKind::Malformed, "byte 20: grainSize"),
    ("descriptors/esxi-redolog.vmdk", ErrorKind::Unsupported, "VMFSSPARSE"),
    ("descriptors/esxi-sesparse-child.vmdk", ErrorKind::Unsupported, "SESPARSE"),
    ("descriptors/esxi-vmfs-parent.vmdk", ErrorKind::Missing, "Base_R91-flat.vmdk"),
    ("descriptors/esxi-vmfssparse-version2.vmdk", ErrorKind::Unsupported, "VMFSSPARSE"),
    ("descriptors/ws13-twoGbMaxExtentSparse-16extents.vmdk", ErrorKind::Missing, "disk-s001.vmdk"),
    ("gen-vboxdiff/snapshot.vmdk", ErrorKind::Missing, "uuid fe7905ba-2bc7-4aae-8994-0e7b2dd1f9bd"),
    ("qemu-iotests/afl9.vmdk", ErrorKind::Malformed, "byte 73"),
    ("vmdk-rs/vmfs_thick-000001.vmdk", ErrorKind::Unsupported, "VMFSSPARSE"),
];
