//! Images of other producers convert to their known content, or are refused with a word on where.

use std::path::Path;
use std::sync::Mutex;

use imgfmt::probe::probe;
use imgfmt::{Access, Beneath, ConvertRequest, Error, ErrorKind, FORMATS, FileStorage, Image, ImageExt, InfoRequest};

use super::support::Outcome;
use super::support::compare::{hash, holds, open, same_guest};
use super::support::corpus::{Entry, entries};
use super::support::say::{say, whole_message};

#[test]
fn images_of_other_producers_convert_or_are_refused() -> Outcome {
    let Some(mut ours) = entries()? else { return Ok(()) };
    ours.retain(|entry| ["vmdk", "qcow2", "raw", "vhd", "vhdx", "vdi", "qcow"].contains(&entry.format.as_str()));
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
fn every_file_is_taken_for_what_it_is() -> Outcome {
    for entry in entries()?.unwrap_or_default() {
        let storage = FileStorage::open(&entry.path)?;
        let claims: Vec<_> = probe(FORMATS, &storage)?.iter().map(|claim| claim.format.name()).collect();
        assert_eq!(claims, claimed_as(&entry), "{}", entry.name);
    }
    Ok(())
}

/// Which formats shall claim a file.
fn claimed_as(entry: &Entry) -> Vec<&str> {
    let sight = [
        ("arallels", "parallels"),
        (".hds", "parallels"),
        (".qed", "qed"),
        (".bochs", "bochs"),
        (".dmg", "dmg"),
        (".cloop", "cloop"),
    ];
    let known = sight.iter().find(|(part, _)| entry.name.contains(part)).map(|(_, name)| *name);
    match entry.format.as_str() {
        "other" | "parallels-hdd" if !entry.name.ends_with(".xml") && !entry.name.ends_with(".hdd") => {
            known.into_iter().collect()
        }
        "udf" => vec!["iso"],
        format @ ("qcow2" | "qcow" | "vmdk" | "vhd" | "vhdx" | "vdi" | "iso") => vec![format],
        "not-a-disk" if entry.name.ends_with(".iso") => vec!["7z"],
        _ => vec![],
    }
}

#[test]
fn discs_read_as_they_are() -> Outcome {
    for entry in entries()?.unwrap_or_default() {
        if ["iso", "udf"].contains(&entry.format.as_str()) {
            let bytes = std::fs::read(&entry.path)?;
            holds(&open(&entry.path, None)?, &bytes).map_err(|e| format!("{}: {e}", entry.name))?;
        }
    }
    Ok(())
}

#[test]
fn appliances_of_other_producers_give_their_disks_or_are_refused() -> Outcome {
    for entry in entries()?.unwrap_or_default() {
        if !["ova", "ovf"].contains(&entry.format.as_str()) {
            continue;
        }
        let outcome = appliance(&entry.path).map_err(|e| e.to_string());
        say(&format!("  {:50} {outcome:?}", entry.name));
        let expected = APPLIANCES.iter().find(|(name, _)| *name == entry.name);
        match (expected, outcome) {
            (Some((_, word)), Err(text)) if text.contains(word) => {}
            (None, Ok(disks)) if disks > 0 => {}
            (expected, outcome) => return Err(format!("{}: {outcome:?} instead of {expected:?}", entry.name).into()),
        }
    }
    Ok(())
}

/// Reads every disk of an appliance to its end, and returns how many there are.
fn appliance(path: &Path) -> Outcome<usize> {
    let mut gate = Beneath::new();
    gate.allow_beside(path)?;
    let access = Access { gate: &gate, fallback: None, ..Access::default() };
    let info = imgfmt::info(path, &InfoRequest::default(), &access);
    let info = info.map_err(|e| whole_message(&e))?;
    let (_, contents) = info.wrappers.first().ok_or("nothing was taken off")?;
    for member in &contents.members {
        let access = Access { member: Some(&member.name), ..access.clone() };
        let disk = imgfmt::open(path, None, &access).map_err(|e| whole_message(&e))?;
        if member.capacity.is_some_and(|capacity| capacity != disk.size()) {
            return Err(format!("{}: {} bytes instead of {:?}", member.name, disk.size(), member.capacity).into());
        }
        disk.visit_extents(0..disk.size(), &mut |extent| {
            let mut bytes = vec![0; usize::try_from(extent.len.min(1 << 20)).unwrap_or(0)];
            disk.read_at(&mut bytes, extent.start)
        })
        .map_err(|e| whole_message(&e))?;
    }
    match contents.members.len() {
        0 => Err("it holds no disk".into()),
        count => Ok(count),
    }
}

/// Converts an image that has content, or sees how it is refused; returns what there is to say.
fn judge(entry: &Entry) -> Outcome<String> {
    let opened = open(&entry.path, Some(&entry.format));
    match (&entry.guest_sha256, opened) {
        (Some(_), Ok(disk)) if disk.size() > MAX_HASHED && is_empty(&disk)? => {
            // To hash 127 GiB of zeros would show nothing that the size does not.
            let size = disk.size();
            let right = entry.virtual_size == Some(size);
            if right { Ok(format!("{size} bytes, all zero")) } else { Err(format!("{size} bytes").into()) }
        }
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

/// Whether nothing of a disk is stored anywhere.
fn is_empty(disk: &dyn Image) -> imgfmt::Result<bool> {
    Ok(imgfmt::ByteCounts::of(disk)?.allocated() == 0)
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

/// Refusals, with their kind and what they have to name: the file that is not there, or the field that is wrong.
const REFUSALS: &[(&str, ErrorKind, &str)] = &[
    ("cdi/cirros-snapshot1.qcow2", ErrorKind::Missing, "cirros.raw"),
    ("cdi/cirros-snapshot2.qcow2", ErrorKind::Missing, "cirros.raw"),
    ("cdi/invalid-qcow-large-memory.img", ErrorKind::Malformed, "byte 20: grainSize"),
    ("descriptors/esxi-redolog.vmdk", ErrorKind::Missing, "android.vmdk-delta.REDO_TkLU1V"),
    ("descriptors/esxi-sesparse-child.vmdk", ErrorKind::Missing, "Base_R91-000001-sesparse.vmdk"),
    ("descriptors/esxi-vmfs-parent.vmdk", ErrorKind::Missing, "Base_R91-flat.vmdk"),
    ("descriptors/esxi-vmfssparse-version2.vmdk", ErrorKind::Missing, "HostName-000001-delta.vmdk"),
    ("descriptors/ws13-twoGbMaxExtentSparse-16extents.vmdk", ErrorKind::Missing, "disk-s001.vmdk"),
    ("qemu-iotests/afl9.vmdk", ErrorKind::Malformed, "byte 73"),
    ("vmdk-rs/vmfs_thick-000001.vmdk", ErrorKind::Missing, "vmfs_thick-000001-delta.vmdk"),
];

/// Appliances that are refused, and what they are told.
const APPLIANCES: &[(&str, &str)] = &[
    ("glance/testserver-bad-ovf.ova", "illegal-xml.ovf"),
    ("glance/testserver-no-disk.ova", "testserver-disk1.vmdk"),
    ("glance/testserver-no-ovf.ova", "neither a sparse extent nor a descriptor"),
    ("glance/testserver.ova", "neither a sparse extent nor a descriptor"),
    ("go-vcd/descriptor.ovf", "disk1.vmdk, which the description names, is not there"),
    ("vsphere-sdk/descriptor.ovf", "it holds no disk"),
];
/// Largest disk that is hashed although it is empty: 32 GiB.
const MAX_HASHED: u64 = 32 << 30;
