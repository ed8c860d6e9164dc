//! What `info` and `snapshot -l` print for people.

use std::fmt::{Display, Write};

use imgfmt::{ImageFile, ImageInfo, SnapshotInfo};
use serde_json::Value;

use super::formats::{name_here, tells_of_clusters};
use super::info_json::{child_name, child_path, protocol, snapshots, specific, virtual_size};
use crate::render::text::{date, exact_size, printable, size};

/// The lines that describe an image.
pub(crate) fn info(info: &ImageInfo) -> String {
    let description = &info.description;
    let mut out = String::new();
    line(&mut out, "image", info.path().display());
    line(&mut out, "file format", name_here(description.format));
    line(&mut out, "virtual size", exact_size(virtual_size(info)));
    line(&mut out, "disk size", info.actual_size().map_or_else(unavailable, size));
    if description.encrypted {
        line(&mut out, "encrypted", "yes");
    }
    if tells_of_clusters(description.format) {
        description.cluster_size.iter().for_each(|size| line(&mut out, "cluster_size", size));
        if description.dirty {
            line(&mut out, "cleanly shut down", "no");
        }
    }
    backing(&mut out, info);
    out.push_str(&snapshot_table(&snapshots_of(info)));
    if let Some(specific) = specific(info) {
        out.push_str("Format specific information:\n");
        tree(&mut out, &Value::from(specific), 1);
    }
    info.files.iter().rev().for_each(|file| child(&mut out, info, file));
    out
}

/// The lines about the backing file.
fn backing(out: &mut String, info: &ImageInfo) {
    let Some(parent) = &info.description.parent else { return };
    match info.backing_path.as_ref().filter(|path| **path != parent.name) {
        Some(path) => line(out, "backing file", format!("{} (actual path: {})", parent.name.display(), path.display())),
        None => line(out, "backing file", parent.name.display()),
    }
    parent.format.iter().for_each(|format| line(out, "backing file format", name_here(format)));
}

/// Appends the members of an object or list, each on a line of its own.
fn tree(out: &mut String, value: &Value, depth: usize) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.replace('-', " "), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(index, value)| (format!("[{index}]"), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in members {
        let key = format!("{}{key}", "    ".repeat(depth));
        match value {
            Value::Object(_) | Value::Array(_) => {
                out.push_str(&format!("{}:\n", printable(&key)));
                tree(out, value, depth + 1);
            }
            Value::String(text) => line(out, &key, text),
            other => line(out, &key, other),
        }
    }
}

/// The lines about one of the files that the image consists of.
fn child(out: &mut String, info: &ImageInfo, file: &ImageFile) {
    out.push_str(&format!("Child node '/{}':\n", child_name(file)));
    let len = file.len.checked_next_multiple_of(SECTOR_LEN).unwrap_or(file.len);
    line(out, "    filename", child_path(info, file).display());
    line(out, "    protocol type", protocol(file));
    line(out, "    file length", exact_size(len));
    line(out, "    disk size", file.actual_size.map_or_else(unavailable, size));
}

/// The size of what cannot be asked for it.
fn unavailable() -> String {
    "unavailable".to_owned()
}

/// The snapshots in an image, as its description has them.
pub(crate) fn snapshots_of(info: &ImageInfo) -> Vec<SnapshotInfo> {
    snapshots(info).into_iter().flatten().map(snapshot_of).collect()
}

/// The table of snapshots; nothing where there are none.
pub(crate) fn snapshot_table(list: &[SnapshotInfo]) -> String {
    let mut out = String::new();
    if list.is_empty() {
        return out;
    }
    out.push_str("Snapshot list:\n");
    row(&mut out, ["ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT"]);
    for snapshot in list {
        let (millis, seconds) = (snapshot.vm_clock_nsec / 1_000_000 % 1000, snapshot.vm_clock_nsec / 1_000_000_000);
        let clock = format!("{:04}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        let icount = snapshot.icount.map_or_else(String::new, |icount| icount.to_string());
        let (id, name) = (printable(&snapshot.id), printable(&snapshot.name));
        let (vm_size, taken) = (size(snapshot.vm_state_size), date(snapshot.date_sec.into()));
        row(&mut out, [&id, &name, &vm_size, &taken, &clock, &icount]);
    }
    out
}

/// A row of the table of snapshots.
fn row(out: &mut String, [id, tag, vm_size, date, vm_clock, icount]: [&str; 6]) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{id:7} {tag:16} {vm_size:>8} {date:>19} {vm_clock:>15} {icount:>10}");
}

/// A snapshot as an image's description has it.
fn snapshot_of(value: &Value) -> SnapshotInfo {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| value[key].as_u64().unwrap_or(0);
    let small = |key: &str| u32::try_from(number(key)).unwrap_or(u32::MAX);
    SnapshotInfo {
        id: text("id"),
        name: text("name"),
        vm_state_size: number("vm-state-size"),
        date_sec: small("date-sec"),
        date_nsec: small("date-nsec"),
        vm_clock_nsec: number("vm-clock-sec").saturating_mul(1_000_000_000).saturating_add(number("vm-clock-nsec")),
        icount: value["icount"].as_u64(),
        disk_size: 0,
    }
}

/// A `key: value` line.
fn line(out: &mut String, key: &str, value: impl Display) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{key}: {}", printable(&value.to_string()));
}

/// Bytes of a sector, in which QEMU counts.
const SECTOR_LEN: u64 = 512;
