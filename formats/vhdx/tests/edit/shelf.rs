//! The whole images of the test data can be edited, however they are laid out.

use std::io::Read;
use std::path::Path;

use imgfmt_core::Severity;
use imgfmt_core::conformance::{Recording, apply, apply_to_model, random_steps};

use crate::images::{MIB, edited};

#[test]
fn images_of_any_layout_are_edited() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vhdx/valid");
    let mut count = 0;
    for (seed, entry) in folder.read_dir().unwrap().enumerate() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("diff-") || !name.ends_with(".gz") {
            continue;
        }
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
        let files = vec![(name.clone(), bytes)];
        let edited = edited(&files, 4096 * 20);
        let recording = Recording::new(&files);
        let mut model = edited.read(&recording.files()).unwrap();
        if model.len() as u64 > 20 * MIB {
            continue;
        }
        count += 1;
        let steps = random_steps(&edited, 100 + seed as u64, 8, model.len() as u64, 1);
        edited
            .edit(&recording.files(), &mut |editor| {
                steps.iter().try_for_each(|step| {
                    apply_to_model(&mut model, &[], step);
                    apply(editor, step)
                })?;
                Ok(true)
            })
            .unwrap_or_else(|e| panic!("{name}: {e}: {steps:?}"));
        assert!(edited.read(&recording.files()).unwrap() == model, "{name}: {steps:?}");
        let (findings, _) = edited.check(&recording.files(), None).unwrap();
        // A region table that was damaged, or another one than the first, stays so.
        let tables = u64::from(name.starts_with("region-"));
        assert!(findings.open(Severity::Corruption) <= tables, "{name}: {:?}", findings.kept());
        assert_eq!(findings.open(Severity::Leak) + findings.open(Severity::Unchecked), 0, "{name}: {steps:?}");
    }
    assert!(count > 20, "{count}");
}
