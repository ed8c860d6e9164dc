//! Images to be edited, checked and mended.

use imgfmt_core::conformance::{Edited, Noise, Recording};
use imgfmt_core::{Findings, Options, Secrets, Severity};
use imgfmt_vdi::Vdi;
use proptest::prelude::{Strategy, any};
use proptest::sample::select;

use crate::build::{Layout, parent};

/// The options of these images.
static OPTIONS: Options = Options::new();
/// The secrets of these images.
static SECRETS: Secrets = Secrets::new();

/// Files by their names.
pub(crate) type Named = Vec<(String, Vec<u8>)>;

/// Images in a layout that can be edited, in few and small blocks; on a parent, of whole blocks.
pub(crate) fn layouts() -> impl Strategy<Value = Layout> {
    (0..60_usize, 9..13_u32, select(vec![1, 1, 2, 4]), any::<u64>(), any::<bool>(), any::<bool>()).prop_map(
        |(sectors, block_bits, kind, seed, has_extra, cut_last)| {
            let size = sectors * 512;
            let size = if kind == 4 { size.next_multiple_of(1 << block_bits) } else { size };
            let extra = if has_extra { 512 } else { 0 };
            Layout { size, block_bits, extra, kind, seed, aligned: true, gaps: false, cut_last }
        },
    )
}

/// The files of an image, and of a parent of `base` sectors.
pub(crate) fn files_of(layout: &Layout, base: usize) -> Named {
    let mut below = vec![0; base * 512];
    Noise(layout.seed | 1).fill(&mut below);
    let (file, _) = layout.build(&below);
    vec![("disk".to_owned(), file), ("base".to_owned(), parent(&below))]
}

/// What is written of an image as one: on a parent, whole blocks.
pub(crate) fn unit(layout: &Layout, otherwise: u64) -> u64 {
    if layout.kind == 4 { 1 << layout.block_bits } else { otherwise }
}

/// The image `disk` of `files`, whose sizes are multiples of `size_unit`.
pub(crate) fn edited(files: &Named, size_unit: u64) -> Edited<'_> {
    Edited { format: &Vdi, files, name: "disk", options: &OPTIONS, secrets: &SECRETS, size_unit, shrinks: true }
}

/// The number of 4 bytes at `at` of `file`.
pub(crate) fn number(file: &[u8], at: usize) -> usize {
    usize::try_from(u32::from_le_bytes(file[at..at + 4].try_into().unwrap())).unwrap()
}

/// Puts a number of 4 bytes at `at` of `file`.
pub(crate) fn put(file: &mut [u8], at: usize, value: u32) {
    file[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// What a check of `files` finds.
pub(crate) fn check(files: &Named) -> Findings {
    edited(files, 512).check(&Recording::new(files).files(), None).unwrap().0
}

/// The identifiers of all but warnings.
pub(crate) fn faults(findings: &Findings) -> Vec<&'static str> {
    findings.kept().iter().filter(|found| found.severity > Severity::Warning).map(|found| found.id).collect()
}
