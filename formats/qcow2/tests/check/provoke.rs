//! Everything that a check can say is said of an image that has it, and of no other.

use std::collections::BTreeSet;
use std::path::Path;

use imgfmt_core::{Findings, Severity};

use crate::damages;
use crate::image::Image;

#[test]
fn every_damage_is_found_as_what_it_is() {
    for damage in damages::all() {
        let (findings, _) = damage.image.check();
        let found = findings.kept().iter().find(|finding| finding.id == damage.id);
        let Some(found) = found else { panic!("{} is not among {:?}", damage.id, findings.kept()) };
        assert_eq!(
            (found.severity, found.repair, found.fixed),
            (damage.severity, damage.repair, false),
            "{}",
            damage.id
        );
        assert!(found.offset.is_some(), "{} has a place", damage.id);
    }
}

#[test]
fn the_documentation_lists_what_is_tested_and_nothing_else() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/qcow2.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let listed: BTreeSet<_> = docs.split('`').filter(|word| word.starts_with("qcow2-")).collect();
    let tested: BTreeSet<_> = damages::all().iter().map(|damage| damage.id).collect();
    assert_eq!(listed, tested);
    for damage in damages::all() {
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{}` |", damage.id))).unwrap();
        let repair = damage.repair.map_or("–", imgfmt_core::Repair::name);
        let severity = damage.severity.name();
        assert!(row.starts_with(&format!("| `{}` | {severity} | {repair} |", damage.id)), "{row}");
    }
}

#[test]
fn what_is_written_here_has_nothing_wrong() {
    for compress in [false, true] {
        for options in [
            "",
            "compat=0.10,cluster_size=1k",
            "cluster_size=512,refcount_bits=1",
            "cluster_size=512,refcount_bits=2",
            "cluster_size=512,refcount_bits=64",
            "refcount_bits=4",
            "refcount_bits=8,cluster_size=2M",
            "refcount_bits=32",
            "extended_l2=on,cluster_size=16k",
        ] {
            let image = Image::written(options, compress);
            let (findings, stats) = image.check();
            assert_eq!(findings.total(), 0, "{options}: {:?}", findings.kept());
            assert_eq!(
                stats.image_end,
                Some((image.0.len() as u64).next_multiple_of(image.cluster_len())),
                "{options}"
            );
            assert_eq!(compress, stats.compressed_units > 0, "{options}");
        }
    }
}

#[test]
fn one_wrong_count_is_one_finding() {
    let mut image = damages::small();
    let cluster = image.host(3) / 512;
    image.set_refcount(cluster, 2);
    let (findings, _) = image.check();
    let said: Vec<_> = findings.kept().iter().map(|finding| (finding.what.clone(), finding.guest)).collect();
    let entry = image.u64(image.l2_at(3));
    let copied = format!("OFLAG_COPIED data cluster: l2_entry={entry:x} refcount=2");
    assert_eq!(said, [(format!("cluster {cluster} refcount=2 reference=1"), None), (copied, Some(3 * 512))]);
    assert_eq!((findings.open(Severity::Leak), findings.open(Severity::Corruption)), (1, 1));
}

#[test]
fn every_valid_sample_has_nothing_but_what_it_shows() {
    let known = [
        "dirty",
        "bitmaps-stale",
        "map-copied-clear",
        "map-l1-reserved-bits",
        "map-l2-reserved-bits",
        "snapshots-of-other-sizes",
        "bitmaps.qcow2",
        "data-file",
        "aes",
        "luks",
    ];
    for (name, image) in samples() {
        let (findings, _) = image.check();
        let clean = |findings: &Findings| findings.open(Severity::Corruption) + findings.open(Severity::Leak) == 0;
        assert!(clean(&findings) || known.iter().any(|known| name.contains(known)), "{name}: {:?}", findings.kept());
    }
}

/// The valid samples that are not packed.
pub(crate) fn samples() -> Vec<(String, Image)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/qcow2/valid");
    let names = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".qcow2")).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), Image::sample(&format!("valid/{name}")))).collect()
}
