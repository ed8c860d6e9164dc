//! Random disks and random ways to write them.

use imgfmt_core::conformance::{Disk, Fill};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

/// A disk, and how it is written.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Guest bytes.
    pub(crate) size: usize,
    /// Runs that the map calls data: gap before, length, and content.
    pub(crate) runs: Vec<(usize, usize, Fill)>,
    /// Options as on a command line; they fit together.
    pub(crate) options: String,
    /// Whether clusters are compressed.
    pub(crate) compress: bool,
    /// Whether there is a backing file, which then shows nowhere.
    pub(crate) backed: bool,
    /// Which zeros are found.
    pub(crate) zero_grain: Option<u64>,
    /// Threads of the second run.
    pub(crate) threads: usize,
}

impl Case {
    /// The same without what a data file or a pipe cannot have.
    pub(crate) fn plain(self) -> Self {
        Self { compress: false, backed: false, options: self.options.replace("falloc", "off"), ..self }
    }

    /// The disk.
    pub(crate) fn disk(&self) -> Disk {
        let mut at = 0;
        let mut runs = Vec::new();
        for &(gap, len, fill) in &self.runs {
            let start = at + gap;
            at = start + len;
            if start < at.min(self.size) {
                runs.push((start..at.min(self.size), fill));
            }
        }
        Disk::new("random", self.size, &runs)
    }
}

/// Cases with disks of all sizes up to 2 MB.
pub(crate) fn cases() -> impl Strategy<Value = Case> {
    let sizes = prop_oneof![0..5000usize, 0..2_000_000usize, (0..4000usize).prop_map(|sectors| sectors * 512)];
    let lens = || prop_oneof![1..2000usize, 1..200_000usize, (1..40usize).prop_map(|pages| pages * 4096)];
    let fills = select(vec![Fill::Text, Fill::Text, Fill::Noise, Fill::Zeros]);
    let runs = proptest::collection::vec((prop_oneof![Just(0), lens()], lens(), fills), 0..14);
    let grains = option::weighted(0.8, prop_oneof![Just(4096), (0..20u32).prop_map(|bits| 1 << bits)]);
    (sizes, runs, options(), grains, 2..7usize).prop_map(|(size, runs, options, zero_grain, threads)| {
        let (options, compress, backed) = options;
        Case { size, runs, options, compress, backed, zero_grain, threads }
    })
}

/// Options that fit together, whether to compress, and whether there is a backing file.
fn options() -> impl Strategy<Value = (String, bool, bool)> {
    let clusters = select(vec!["512", "1k", "4k", "16k", "64k", "64k", "256k", "2M"]);
    let refcounts = select(vec!["1", "2", "4", "8", "16", "16", "32", "64"]);
    let codecs = select(vec!["zlib", "zlib", "zstd"]);
    let levels = option::of(1..13i32);
    let windows = option::weighted(0.3, select(vec!["512", "1k", "4k", "16k", "32k"]));
    let preallocations = select(vec!["off", "off", "off", "metadata", "falloc", "full"]);
    (any::<[bool; 5]>(), clusters, refcounts, codecs, levels, windows, preallocations).prop_map(|choice| {
        let ([v2, compress, backed, lazy, extended], cluster, refcount, codec, level, window, preallocation) = choice;
        let extended = extended && !v2 && ["16k", "64k", "256k", "2M"].contains(&cluster);
        let backed = backed && (preallocation == "off" || extended);
        let compress = compress && preallocation == "off";
        let mut options = vec![format!("cluster_size={cluster},preallocation={preallocation}")];
        if v2 {
            options.push("compat=0.10".to_owned());
        } else {
            options.push(format!("refcount_bits={refcount},compression_type={codec}"));
            options.push(format!("lazy_refcounts={}", if lazy { "on" } else { "off" }));
            options.push(format!("extended_l2={}", if extended { "on" } else { "off" }));
        }
        options.extend(level.map(|level| format!("compression_level={level}")));
        let window = window.filter(|_| v2 || codec == "zlib");
        options.extend(window.map(|window| format!("compression_window={window}")));
        (options.join(","), compress, backed)
    })
}
