//! What is wrong with partitions as a whole.

use crate::found::{Finding, Inside, Partition, Severity, Signature, TableKind};

/// Takes note of partitions that are not on the disk, and of those that share bytes.
pub(crate) fn partitions(inside: &mut Inside) {
    let mut findings = Vec::new();
    for partition in &inside.partitions {
        if partition.end() > inside.size && !is_protective(partition) {
            let what = format!(
                "partition {} of the {} ends at byte {}, and the disk at {}",
                partition.number,
                partition.table.name(),
                partition.end(),
                inside.size
            );
            let severity = Severity::Error;
            findings.push(Finding { code: "partition.beyond-end", severity, at: Some(partition.start), what });
        }
    }
    for kind in [TableKind::Mbr, TableKind::Gpt, TableKind::Apm] {
        let of_kind = inside.partitions.iter().filter(|part| part.table == kind);
        findings.extend(overlaps(of_kind.filter(|part| !part.container && part.len > 0).collect()));
    }
    inside.findings.extend(findings);
}

/// Takes note of what says that it is longer than what it lies in.
pub(crate) fn volumes(inside: &mut Inside) {
    let whole = inside.signatures.iter().filter_map(|signature| too_long(signature, 0, inside.size, "the disk"));
    let parts = inside.partitions.iter().flat_map(|partition| {
        let name = format!("partition {} of the {}", partition.number, partition.table.name());
        partition.signatures.iter().filter_map(move |found| too_long(found, partition.start, partition.len, &name))
    });
    let findings: Vec<_> = whole.chain(parts).collect();
    inside.findings.extend(findings);
}

/// What is said of a signature at `start` that is for more than the `len` bytes of `name`.
fn too_long(signature: &Signature, start: u64, len: u64, name: &str) -> Option<Finding> {
    let needed = signature.len.filter(|&needed| needed > len)?;
    let what = format!("the {} asks for {needed} bytes, and {name} has {len}", signature.kind);
    Some(Finding {
        code: "volume.too-long",
        severity: Severity::Error,
        at: Some(start.saturating_add(signature.at)),
        what,
    })
}

/// The neighbours that share bytes.
fn overlaps(mut partitions: Vec<&Partition>) -> Vec<Finding> {
    partitions.sort_by_key(|partition| (partition.start, partition.end()));
    let mut findings = Vec::new();
    let mut longest: Option<&Partition> = None;
    for partition in partitions {
        if let Some(before) = longest.filter(|before| before.end() > partition.start) {
            let what = format!(
                "partitions {} and {} of the {} share bytes",
                before.number,
                partition.number,
                partition.table.name()
            );
            let severity = Severity::Error;
            findings.push(Finding { code: "partition.overlap", severity, at: Some(partition.start), what });
        }
        if longest.is_none_or(|before| before.end() < partition.end()) {
            longest = Some(partition);
        }
    }
    findings
}

/// Whether a partition stands for a whole disk of any size.
fn is_protective(partition: &Partition) -> bool {
    partition.table == TableKind::Mbr && partition.type_id == "ee"
}
