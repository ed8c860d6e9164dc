//! What the tests of checks share.

use imgfmt_core::conformance::{Edited, Recording};
use imgfmt_core::{CheckStats, Findings, Options, Repair, Result, Secrets, Severity};
use imgfmt_vhdx::Vhdx;

use crate::build::{File, MIB, Shape};

/// No options.
static NO_OPTIONS: Options = Options::new();

/// The file `bytes` alone, to be checked.
pub(crate) fn files(bytes: Vec<u8>) -> Vec<(String, Vec<u8>)> {
    vec![("disk.vhdx".to_owned(), bytes)]
}

/// The first of `files`, to be checked.
pub(crate) fn edited(files: &[(String, Vec<u8>)]) -> Edited<'_> {
    let secrets: &'static Secrets = Box::leak(Box::default());
    Edited { format: &Vhdx, files, name: &files[0].0, options: &NO_OPTIONS, secrets, size_unit: 512, shrinks: true }
}

/// What a check of `bytes` finds, or a repair of them; and the file then.
pub(crate) fn look(bytes: &[u8], repair: Option<Repair>) -> (Result<(Findings, CheckStats)>, Vec<u8>) {
    let files = files(bytes.to_vec());
    let recording = Recording::new(&files);
    let outcome = edited(&files).check(&recording.files(), repair);
    assert!(repair.is_some() || recording.is_empty(), "a check does not write");
    (outcome, recording.now().remove(0).1)
}

/// The ids of what a check of `bytes` finds.
pub(crate) fn ids(bytes: &[u8]) -> Vec<&'static str> {
    look(bytes, None).0.unwrap().0.kept().iter().map(|finding| finding.id).collect()
}

/// Whether something is found that is worse than a warning, and not mended.
pub(crate) fn is_bad(findings: &Findings) -> bool {
    [Severity::Leak, Severity::Unchecked, Severity::Corruption].iter().any(|severity| findings.open(*severity) > 0)
}

/// A disk of three blocks, of which the first and the last are stored, in this order from `DATA_AT` on; the last one
/// is not whole.
pub(crate) fn disk() -> File {
    let mut file = File::new(&Shape { size: 5 * MIB / 2, block: MIB, sector: 512, parent: false });
    for index in [0, 2] {
        let host = file.append(MIB, 0x11 + index as u8);
        file.entry(index, host | 6);
    }
    file
}

/// A layer of which a block is stored in part; its bitmap lies behind it.
pub(crate) fn layer() -> File {
    let mut file = File::new(&Shape { size: 2 * MIB, block: MIB, sector: 512, parent: true });
    let (block, bitmap) = (file.append(MIB, 0x11), file.append(MIB, 0));
    file.entry(1, block | 7);
    file.entry(4096, bitmap | 6);
    file
}
