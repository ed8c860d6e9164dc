//! What descriptors say.

use imgfmt_core::conformance::Files;
use imgfmt_core::{Repair, Severity};

use crate::check;

/// The findings about a flat disk of 16 sectors with this descriptor, and those of them that are no warnings.
fn found(text: &str, flat: usize) -> Vec<(&'static str, Severity)> {
    let mut files = Files::default();
    files.add("disk.vmdk", text.as_bytes().to_vec());
    files.add("flat", vec![1; flat]);
    let (findings, _) = check(&files, "disk.vmdk", None).unwrap();
    let (mended, _) = check(&files, "disk.vmdk", Some(Repair::All)).unwrap();
    assert_eq!(findings.kept(), mended.kept(), "nothing here can be mended");
    findings.kept().iter().map(|finding| (finding.id, finding.severity)).collect()
}

#[test]
fn a_flat_disk_is_as_long_as_its_descriptor_says() {
    assert_eq!(found(TEXT, 8192), []);
    assert_eq!(found(TEXT, 9000), []);
    assert_eq!(found(TEXT, 8191), [("vmdk-flat-short", Severity::Corruption)]);
}

#[test]
fn every_fault_has_its_name() {
    use Severity::{Corruption, Unchecked, Warning};
    for (old, new, id, severity) in [
        ("CID=12345678", "CID=1234567x", "vmdk-cid-invalid", Corruption),
        ("parentCID=ffffffff", "parentCID=fffffffff", "vmdk-cid-invalid", Corruption),
        ("CID=12345678\n", "", "vmdk-cid-missing", Warning),
        ("parentCID=ffffffff", "parentCID=00000001", "vmdk-parent-unnamed", Corruption),
        ("RW 16 FLAT", "RW x FLAT", "vmdk-descriptor-invalid", Corruption),
        ("RW 16 FLAT \"flat\" 0", "", "vmdk-descriptor-invalid", Corruption),
        ("cylinders=\"1\"", "cylinders=\"2\"", "vmdk-geometry", Warning),
        ("cylinders=\"1\"", "cylinders=\"one\"", "vmdk-geometry", Warning),
        ("\"flat\" 0", "\"gone\" 0", "vmdk-extent-missing", Corruption),
        ("RW 16 FLAT \"flat\" 0", "RW 16 VMFSRAW \"flat\"", "vmdk-extent-unchecked", Unchecked),
        ("FLAT \"flat\" 0", "SPARSE \"flat\"", "vmdk-extent-header", Corruption),
    ] {
        let text = TEXT.replace(old, new);
        assert_ne!(text, TEXT);
        assert_eq!(found(&text, 8192), [(id, severity)], "{new}");
    }
    let large = TEXT.replace("RW 16 FLAT \"flat\" 0", "RW 9223372036854775807 ZERO");
    assert_eq!(found(&large, 0), [("vmdk-size", Corruption)]);
}

/// A descriptor without fault.
const TEXT: &str = "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\
    RW 16 FLAT \"flat\" 0\nddb.geometry.cylinders=\"1\"\nddb.geometry.heads=\"16\"\nddb.geometry.sectors=\"63\"\n";
