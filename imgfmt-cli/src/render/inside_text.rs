//! What lies on a disk, for people.

use std::fmt::Write;

use imgfmt::inside::{Inside, Partition, Signature, Table};

use super::text::{printable, size};

/// The lines about the disk as a whole, its tables, its partitions, and what is wrong with them.
pub(crate) fn lines(inside: &Inside) -> String {
    let mut out = String::from("Inside:\n");
    inside.signatures.iter().for_each(|found| line(&mut out, &format!("whole disk: {}", signature(found))));
    inside.tables.iter().for_each(|found| line(&mut out, &table(found)));
    inside.partitions.iter().for_each(|found| line(&mut out, &partition(found)));
    for finding in &inside.findings {
        let at = finding.at.map(|at| format!("byte {at}: ")).unwrap_or_default();
        line(&mut out, &format!("{}: {at}{} [{}]", finding.severity.name(), finding.what, finding.code));
    }
    if inside.signatures.is_empty() && inside.tables.is_empty() {
        line(&mut out, "nothing that is known here");
    }
    out
}

/// A partition table.
fn table(table: &Table) -> String {
    let mut text = format!("{} of sectors of {} bytes", table.kind.name().to_uppercase(), table.sector_len);
    if let Some(gpt) = &table.gpt {
        let _ = write!(text, ", primary {}, backup {}", gpt.primary.name(), gpt.backup.name());
    }
    let notes = [(table.protective, ", protective"), (table.hybrid, ", hybrid")];
    notes.iter().filter(|(holds, _)| *holds).for_each(|(_, note)| text.push_str(note));
    table.id.iter().for_each(|id| {
        let _ = write!(text, ", {id}");
    });
    text
}

/// A partition and what lies in it.
fn partition(partition: &Partition) -> String {
    let kind = partition.type_name.unwrap_or(&partition.type_id);
    let name = partition.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    let boot = if partition.bootable { ", bootable" } else { "" };
    let what: Vec<_> = partition.signatures.iter().map(signature).collect();
    let what = if what.is_empty() { String::new() } else { format!(": {}", what.join(", ")) };
    let (number, start, len) = (partition.number, partition.start, size(partition.len));
    format!("  {number}: {len} from byte {start}, {kind}{name}{boot}{what}")
}

/// A signature.
fn signature(signature: &Signature) -> String {
    let label = signature.label.as_ref().map(|label| format!(" \"{label}\"")).unwrap_or_default();
    let version = signature.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let uuid = signature.uuid.as_ref().map(|uuid| format!(" ({uuid})")).unwrap_or_default();
    format!("{}{version}{label}{uuid}", signature.kind)
}

/// Adds a line, whose text may come from the disk.
fn line(out: &mut String, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "    {}", printable(text));
}
