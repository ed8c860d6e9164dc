//! The files of the test data.

use imgfmt_core::conformance::Files;
use imgfmt_core::{Format, Limits, OpenContext, Severity};
use imgfmt_vmdk::Vmdk;

use super::{check, folder};

#[test]
fn valid_images_have_no_damage_but_what_their_names_say() {
    let stored = folder("valid");
    let mut files = Files::default();
    stored.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
    let mut seen = 0;
    for (name, _) in &stored {
        let Ok((findings, stats)) = check(&files, name, None) else { continue };
        let lost = ["sparse-gd-offset-lost.vmdk", "sparse-gd-out-of-range.vmdk", "sparse-gd-zeroed.vmdk"];
        let expected: &[&str] = match name.as_str() {
            name if lost.contains(&name) => &["vmdk-directory-entry"],
            "sparse-unclean.vmdk" | "esx-000002.vmdk" | "esx-000002-delta.vmdk" => &["vmdk-unclean"],
            "stream-no-eos.vmdk" => &["vmdk-end-missing"],
            _ => &[],
        };
        assert!(findings.kept().iter().all(|f| expected.contains(&f.id)), "{name}: {:?}", findings.kept());
        assert_eq!(findings.total() == 0, expected.is_empty(), "{name}");
        assert!(stats.allocated_units <= stats.total_units, "{name}: {stats:?}");
        seen += 1;
    }
    assert!(seen > 70, "{seen} images were looked at");
}

#[test]
fn what_cannot_be_opened_has_damage_or_cannot_be_checked_either() {
    for kind in ["malformed", "hostile"] {
        let stored = folder(kind);
        let mut files = Files::default();
        stored.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
        for (name, _) in &stored {
            let limits = Limits::default();
            let context = OpenContext { path: Some(name.as_ref()), ..OpenContext::new(&limits, &files) };
            let opened = Vmdk.open(files.medium(name.as_ref()).unwrap(), &context);
            // An extent of ESX can be checked alone, and not be opened; an extent may be there and not be readable.
            let alone = name.ends_with("-extent.vmdk") || name.starts_with("cowd") || name.starts_with("sesparse");
            if opened.is_ok() || alone {
                continue;
            }
            if let Ok((findings, _)) = check(&files, name, None) {
                let bad = findings.open(Severity::Corruption) + findings.open(Severity::Unchecked);
                assert!(bad > 0, "{kind}/{name} is not opened, and nothing is found: {:?}", findings.kept());
            }
        }
    }
}
