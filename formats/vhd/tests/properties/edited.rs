//! Disks to be edited, checked and mended.

use imgfmt_core::conformance::{Edited, Noise, Recording};
use imgfmt_core::{Findings, Options, Repair, Secrets, Severity};
use imgfmt_vhd::Vhd;
use proptest::prelude::{Strategy, any};

use crate::build::{Footers, Layout, footer};

/// The identity of the parents here.
pub(crate) const PARENT_ID: [u8; 16] = [0x55; 16];
/// The options of these disks.
static OPTIONS: Options = Options::new();
/// The secrets of these disks.
static SECRETS: Secrets = Secrets::new();

/// Files by their names.
pub(crate) type Named = Vec<(String, Vec<u8>)>;

/// Disks of whole sectors with a table, in a layout that nobody writes and everybody may, in few and small blocks.
pub(crate) fn small_layouts() -> impl Strategy<Value = Layout> {
    (0..60_usize, 9..14_u32, any::<bool>(), any::<u64>(), any::<bool>(), any::<bool>()).prop_map(
        |(sectors, block_bits, differencing, seed, short, cut_last)| Layout {
            size: sectors * 512,
            block_bits,
            differencing,
            seed: seed | 1,
            footers: if short { Footers::Short } else { Footers::Whole },
            cut_last,
        },
    )
}

/// The files of a disk, and of a parent of `base_sectors`.
pub(crate) fn files_of(layout: &Layout, base_sectors: usize) -> Named {
    let mut below = vec![0; base_sectors * 512];
    Noise(layout.seed).fill(&mut below);
    let (file, _) = layout.build(PARENT_ID, &below);
    let base = [&below[..], &footer(2, below.len() as u64, u64::MAX, PARENT_ID)].concat();
    vec![("disk".to_owned(), file), ("base".to_owned(), base)]
}

/// A fixed disk of noise.
pub(crate) fn fixed(sectors: usize, seed: u64) -> Named {
    let mut file = vec![0; sectors * 512];
    Noise(seed | 1).fill(&mut file);
    let footer = footer(2, file.len() as u64, u64::MAX, [1; 16]);
    vec![("disk".to_owned(), [&file[..], &footer].concat())]
}

/// The image `disk` of `files`.
pub(crate) fn edited(files: &Named) -> Edited<'_> {
    Edited { format: &Vhd, files, name: "disk", options: &OPTIONS, secrets: &SECRETS, size_unit: 512, shrinks: true }
}

/// The files, with what nothing uses given back.
pub(crate) fn without_leaks(files: &Named) -> Named {
    let recording = Recording::new(files);
    edited(files).check(&recording.files(), Some(Repair::Leaks)).unwrap();
    recording.now()
}

/// What a check of `files` finds.
pub(crate) fn check(files: &Named) -> Findings {
    edited(files).check(&Recording::new(files).files(), None).unwrap().0
}

/// The identifiers of all but warnings.
pub(crate) fn faults(findings: &Findings) -> Vec<&'static str> {
    findings.kept().iter().filter(|found| found.severity > Severity::Warning).map(|found| found.id).collect()
}
