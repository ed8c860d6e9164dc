//! `imgfmt info` for people: the lines of `qemu-img info`, and what it lacks.

use std::fmt::{Display, Write};

use imgfmt::{ByteCounts, Contents, ImageInfo};
use serde_json::Value;

use super::info_json::SNAPSHOTS;
use super::text::{clock, date, exact_size, printable, size, tree};
use crate::failure::chain;

/// The lines that describe one layer.
pub(crate) fn lines(info: &ImageInfo) -> String {
    let description = &info.description;
    let mut out = String::new();
    line(&mut out, "image", info.path().display());
    line(&mut out, "file format", description.format);
    description.subformat.iter().for_each(|subformat| line(&mut out, "subformat", subformat));
    line(&mut out, "virtual size", exact_size(info.virtual_size));
    line(&mut out, "disk size", info.actual_size().map_or_else(|| "unavailable".to_owned(), size));
    if description.encrypted {
        line(&mut out, "encrypted", "yes");
    }
    description.cluster_size.iter().for_each(|size| line(&mut out, "cluster_size", size));
    if description.dirty {
        line(&mut out, "cleanly shut down", "no");
    }
    backing(&mut out, info);
    description.creator.iter().for_each(|creator| line(&mut out, "creator", creator));
    if !description.features.is_empty() {
        line(&mut out, "features", description.features.join(", "));
    }
    match &info.counts {
        Some(Ok(counts)) => content(&mut out, counts),
        Some(Err(error)) => line(&mut out, "content", format!("cannot be counted: {}", chain(error))),
        None => {}
    }
    let mut details = description.details.clone();
    if let Some(Value::Array(list)) = details.remove(SNAPSHOTS) {
        snapshots(&mut out, &list);
    }
    section(&mut out, "Format specific information:", &description.specific.clone().into());
    section(&mut out, "Details:", &details.into());
    info.wrappers.iter().for_each(|(name, contents)| wrapper(&mut out, name, contents));
    out
}

/// The lines about something that was taken off before the image showed: what it holds, where that is more than one image.
fn wrapper(out: &mut String, name: &str, contents: &Contents) {
    line(out, "unpacked from", name);
    for (number, member) in (1..).zip(&contents.members).filter(|_| contents.members.len() > 1) {
        let size = member.capacity.map(|bytes| format!(" ({})", size(bytes))).unwrap_or_default();
        line(out, &format!("    disk {number}"), format!("{}{size}", member.name));
    }
    let details = Value::from(contents.details.clone());
    section(out, &format!("Details of the {name}:"), &details);
}

/// The lines about the backing file.
fn backing(out: &mut String, info: &ImageInfo) {
    let Some(parent) = &info.description.parent else {
        return;
    };
    match info.backing_path.as_ref().filter(|path| **path != parent.name) {
        Some(path) => line(out, "backing file", format!("{} (actual path: {})", parent.name.display(), path.display())),
        None => line(out, "backing file", parent.name.display()),
    }
    parent.format.iter().for_each(|format| line(out, "backing file format", format));
}

/// The lines about what the guest bytes are; kinds that do not occur are left out.
fn content(out: &mut String, counts: &ByteCounts) {
    let kinds = [
        ("stored", counts.data),
        ("compressed", counts.compressed),
        ("readable by the format alone", counts.opaque),
        ("in the backing file", counts.parent),
        ("zero", counts.zero),
        ("not allocated", counts.absent),
    ];
    out.push_str("content:\n");
    for (kind, bytes) in kinds.into_iter().filter(|(_, bytes)| *bytes > 0) {
        line(out, &format!("    {kind}"), exact_size(bytes));
    }
    if counts.compressed > 0 {
        line(out, "    compressed to", exact_size(counts.compressed_stored));
    }
}

/// The table of snapshots; times are in UTC.
fn snapshots(out: &mut String, list: &[Value]) {
    if list.is_empty() {
        return;
    }
    out.push_str("Snapshot list:\n");
    row(out, ["ID", "TAG", "VM_SIZE", "DATE (UTC)", "VM_CLOCK", "ICOUNT"]);
    for snapshot in list {
        let text = |key: &str| snapshot[key].as_str().map(|text| printable(text).into_owned()).unwrap_or_default();
        let number = |key: &str| snapshot[key].as_u64().unwrap_or(0);
        let seconds = number("vm-clock-sec");
        let vm_clock = format!("{:0>10}.{:03}", clock(seconds), number("vm-clock-nsec") / 1_000_000);
        let icount = snapshot["icount"].as_u64().map_or_else(String::new, |icount| icount.to_string());
        let cells =
            [text("id"), text("name"), size(number("vm-state-size")), date(number("date-sec")), vm_clock, icount];
        row(out, cells.each_ref().map(String::as_str));
    }
}

/// A row of the table of snapshots.
fn row(out: &mut String, [id, tag, vm_size, date, vm_clock, icount]: [&str; 6]) {
    let text = format!("{id:7} {tag:16} {vm_size:>8} {date:>20} {vm_clock:>15} {icount:>10}");
    out.push_str(text.trim_end());
    out.push('\n');
}

/// A heading and a tree below it, unless the tree is bare.
fn section(out: &mut String, heading: &str, value: &Value) {
    let mut text = String::new();
    tree(&mut text, value, 1);
    if !text.is_empty() {
        out.push_str(heading);
        out.push('\n');
        out.push_str(&text);
    }
}

/// A `key: value` line.
fn line(out: &mut String, key: &str, value: impl Display) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{key}: {}", printable(&value.to_string()));
}
