//! Disks of several extents.

use imgfmt_core::conformance::{Files, Noise};
use proptest::prelude::{Strategy, any, prop_oneof};

use crate::plan::{Plan, SECTOR, descriptor, plans};

/// One extent of a disk.
#[derive(Clone, Debug)]
pub(crate) enum Extent {
    /// A sparse extent in a file of its own, with a descriptor in it or not.
    Sparse(Plan, bool),
    /// Sectors of a flat file, from a sector on.
    Flat(usize, usize),
    /// The same, called VMFS.
    Vmfs(usize),
    /// Sectors of zeros.
    Zero(usize),
}

/// A disk whose descriptor is a file of its own.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// The extents.
    extents: Vec<Extent>,
    /// Whether lines end with CR LF, and whether there are blank lines.
    loose: [bool; 2],
    /// What contents follow from.
    seed: u64,
}

/// Disks of up to five extents.
pub(crate) fn disks() -> impl Strategy<Value = Disk> {
    let extent = prop_oneof![
        3 => (plans(), any::<bool>()).prop_map(|(plan, whole)| Extent::Sparse(plan, whole)),
        2 => (1..900usize, 0..50usize).prop_map(|(sectors, offset)| Extent::Flat(sectors, offset)),
        1 => (1..300usize).prop_map(Extent::Vmfs),
        1 => (0..900usize).prop_map(Extent::Zero),
    ];
    (proptest::collection::vec(extent, 1..6), any::<[bool; 2]>(), any::<u64>())
        .prop_map(|(extents, loose, seed)| Disk { extents, loose, seed })
}

impl Disk {
    /// Adds the files of the disk, the descriptor as `<name>.vmdk`; returns what the layer shows.
    pub(crate) fn build(&self, name: &str, parent: Option<&str>, files: &mut Files) -> Vec<Option<u8>> {
        let mut noise = Noise(self.seed | 1);
        let mut lines = String::new();
        let mut bytes = Vec::new();
        for (number, extent) in self.extents.iter().enumerate() {
            let file = format!("{name} {number}.bin");
            let mut flat = |sectors: usize, before: usize, files: &mut Files| {
                let mut stored = vec![0; (before + sectors) * SECTOR];
                noise.fill(&mut stored);
                let shown = stored[before * SECTOR..].iter().copied().map(Some).collect();
                files.add(&file, stored);
                shown
            };
            let (line, shown): (String, Vec<_>) = match extent {
                Extent::Sparse(plan, whole) => {
                    let inner = if *whole { plan.descriptor(None) } else { String::new() };
                    let built = plan.build(&inner);
                    files.add(&file, built.file);
                    (format!("RW {} SPARSE \"{file}\"", plan.sectors), built.bytes)
                }
                Extent::Flat(sectors, offset) => {
                    (format!("rw {sectors} FLAT \"{file}\" {offset}"), flat(*sectors, *offset, files))
                }
                Extent::Vmfs(sectors) => (format!("RDONLY {sectors} VMFS \"{file}\""), flat(*sectors, 0, files)),
                Extent::Zero(sectors) => (format!("RW {sectors} ZERO"), vec![Some(0); sectors * SECTOR]),
            };
            lines += &format!("{line}\n{}", if self.loose[1] { "\n  \n" } else { "" });
            bytes.extend(shown);
        }
        let text = descriptor("custom", parent, &lines);
        let text = if self.loose[0] { text.replace('\n', "\r\n") } else { text };
        files.add(&format!("{name}.vmdk"), text.into_bytes());
        bytes
    }
}

/// What the layers show together; zeros where a layer ends that would be asked.
pub(crate) fn flattened(layers: &[Vec<Option<u8>>]) -> Vec<u8> {
    (0..layers[0].len())
        .map(|at| {
            let answers = layers.iter().map(|layer| layer.get(at).map_or(Some(0), |byte| *byte));
            answers.flatten().next().unwrap_or(0)
        })
        .collect()
}
