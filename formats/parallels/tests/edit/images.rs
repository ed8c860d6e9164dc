//! Images of any layout, put together byte by byte as QEMU's document has them, to be edited.

use imgfmt_core::conformance::{Edited, Noise, Recording};
use imgfmt_core::{Findings, Options, Secrets, Severity};
use imgfmt_parallels::Parallels;
use proptest::prelude::{Strategy, any};

/// The options of these images.
static OPTIONS: Options = Options::new();
/// The secrets of these images.
static SECRETS: Secrets = Secrets::new();

/// Files by their names.
pub(crate) type Named = Vec<(String, Vec<u8>)>;

/// An image in a layout that nobody writes and everybody may.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Whether entries count sectors.
    pub(crate) is_old: bool,
    /// Sectors of a cluster.
    pub(crate) tracks: usize,
    /// Sectors of the disk.
    pub(crate) sectors: usize,
    /// Entries that are of no cluster of the disk.
    pub(crate) more_entries: usize,
    /// Room between the BAT and the first cluster, in what entries count; without any, the old magic need not tell.
    pub(crate) room: usize,
    /// Whether there are gaps between clusters.
    pub(crate) gaps: bool,
    /// Whether the file lacks what lies behind the end of the disk, where the last cluster is the last one in it.
    pub(crate) cut_last: bool,
    /// Chooses which clusters are there, in which order, and what they hold.
    pub(crate) seed: u64,
}

impl Layout {
    /// The file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut noise = Noise(self.seed | 1);
        let cluster_len = self.tracks * 512;
        let clusters = self.sectors.div_ceil(self.tracks);
        let entries = clusters + self.more_entries;
        let counted = if self.is_old { 512 } else { cluster_len };
        let start = (64 + 4 * entries).next_multiple_of(counted) + self.room * counted;
        let mut file = vec![0; start];
        let mut next = 0;
        for index in shuffled(entries, &mut noise) {
            if noise.below(3) == 0 {
                continue;
            }
            next += usize::from(self.gaps && noise.below(2) == 1);
            let at = start + next * cluster_len;
            file.resize(at + cluster_len, 0x11);
            noise.fill(&mut file[at..]);
            if self.cut_last && index + 1 == clusters {
                file.truncate(at + self.sectors * 512 - index * cluster_len);
            }
            put(&mut file, 64 + 4 * index, at / counted);
            next += 1;
        }
        file[..16].copy_from_slice(if self.is_old { b"WithoutFreeSpace" } else { b"WithouFreSpacExt" });
        let offset = if self.is_old && self.room == 0 { 0 } else { start / 512 };
        for (at, value) in [(16, 2), (28, self.tracks), (32, entries), (36, self.sectors), (48, offset)] {
            put(&mut file, at, value);
        }
        if self.is_old {
            // What is nobody's.
            file[40..44].fill(0xee);
        }
        file
    }
}

/// The numbers up to `count`, in any order.
fn shuffled(count: usize, noise: &mut Noise) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for index in (1..count).rev() {
        order.swap(index, usize::try_from(noise.below(index as u64 + 1)).unwrap());
    }
    order
}

/// Images in few and small clusters.
pub(crate) fn layouts() -> impl Strategy<Value = Layout> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (flags, 1..9_usize, 0..60_usize, 0..3_usize, 0..3_usize, any::<u64>()).prop_map(
        |((is_old, gaps, cut_last), tracks, sectors, more_entries, room, seed)| Layout {
            is_old,
            tracks,
            sectors,
            more_entries,
            room,
            gaps,
            cut_last,
            seed,
        },
    )
}

/// An image of `sectors` sectors in clusters of 4 KiB, without anything special.
pub(crate) fn plain(is_old: bool, sectors: usize) -> Layout {
    Layout { is_old, tracks: 8, sectors, more_entries: 0, room: 0, gaps: false, cut_last: false, seed: 7 }
}

/// The files of an image.
pub(crate) fn files_of(layout: &Layout) -> Named {
    vec![("disk".to_owned(), layout.build())]
}

/// The image `disk` of `files`.
pub(crate) fn edited(files: &Named) -> Edited<'_> {
    Edited {
        format: &Parallels,
        files,
        name: "disk",
        options: &OPTIONS,
        secrets: &SECRETS,
        size_unit: 512,
        shrinks: true,
    }
}

/// The number of 4 bytes at `at` of `file`.
pub(crate) fn number(file: &[u8], at: usize) -> usize {
    usize::try_from(u32::from_le_bytes(file[at..at + 4].try_into().unwrap())).unwrap()
}

/// Puts a number of 4 bytes at `at` of `file`.
pub(crate) fn put(file: &mut [u8], at: usize, value: usize) {
    file[at..at + 4].copy_from_slice(&u32::try_from(value).unwrap().to_le_bytes());
}

/// The bytes at which the clusters of `file` begin, in the order of the BAT.
pub(crate) fn places(file: &[u8]) -> Vec<usize> {
    let counted = if file.starts_with(b"WithoutFreeSpace") { 512 } else { number(file, 28) * 512 };
    let entries = (0..number(file, 32)).map(|index| number(file, 64 + 4 * index));
    entries.filter(|entry| *entry != 0).map(|entry| entry * counted).collect()
}

/// The identifiers of all but warnings that a check of `files` finds.
pub(crate) fn faults(files: &Named) -> Vec<&'static str> {
    let findings: Findings = edited(files).check(&Recording::new(files).files(), None).unwrap().0;
    findings.kept().iter().filter(|found| found.severity > Severity::Warning).map(|found| found.id).collect()
}

/// What becomes of `files` when they are edited, and the image is closed where `act` says so.
pub(crate) fn after(
    files: &Named,
    act: &mut dyn FnMut(&dyn imgfmt_core::ImageEditor) -> imgfmt_core::Result<bool>,
) -> Named {
    let recording = Recording::new(files);
    edited(files).edit(&recording.files(), act).unwrap();
    recording.now()
}
