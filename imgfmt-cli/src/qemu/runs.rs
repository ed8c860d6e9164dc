//! Where the bytes of a disk are, in the terms of `qemu-img map`.

use std::fs;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use imgfmt::holes::Holes;
use imgfmt::{Chain, Extent, ExtentKind, Image as _, ImageExt, Layer, Result, SourceId, Storage};

use super::fault::Fault;
use super::formats::RAW;
use super::image::Image;
use super::info_json::below_folder;

/// A run of bytes that are alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first byte.
    pub(crate) start: u64,
    /// Bytes.
    pub(crate) len: u64,
    /// The layer that says what they are, counted from the top.
    pub(crate) depth: usize,
    /// Whether that layer says so by an entry of its own.
    pub(crate) present: bool,
    /// Whether they are zero.
    pub(crate) zero: bool,
    /// Whether they are stored.
    pub(crate) data: bool,
    /// Whether they are stored compressed.
    pub(crate) compressed: bool,
    /// The source and the byte in it at which they are stored as they are.
    pub(crate) host: Option<(usize, u64)>,
}

impl Run {
    /// Takes up `next`, if it goes on as this run does.
    fn join(&mut self, next: &Self) -> bool {
        let here = self.host.map(|(source, offset)| (source, offset + self.len));
        let alike = Self { start: self.start, len: self.len, host: self.host, ..next.clone() } == *self;
        let joins = alike && here == next.host && self.start + self.len == next.start;
        if joins {
            self.len += next.len;
        }
        joins
    }
}

/// What is needed to know of a layer.
struct Below {
    /// Guest bytes; of a layer of nothing but bytes, in whole sectors.
    size: u64,
    /// Where a layer of nothing but bytes starts in its file.
    start: u64,
    /// Whether bytes that are nowhere are said to be there: of formats that know no backing file.
    always_present: bool,
    /// Whether it is nothing but its bytes.
    is_raw: bool,
    /// Whether it is a fixed VHD, which stores all bytes, also those that are holes of its file.
    is_fixed: bool,
    /// Whether holes of its file are looked for in what it stores, as QEMU does.
    sees_holes: bool,
    /// Whether what is stored is encrypted.
    encrypted: bool,
    /// Whether zeros may have a place in its file that counts.
    keeps_places: bool,
}

impl Below {
    /// What `layer` is.
    fn new(layer: &Layer) -> Self {
        let told = layer.image.describe();
        let (size, is_raw) = (layer.image.size(), layer.format == RAW);
        let subformat = told.subformat.as_deref().unwrap_or_default();
        let sees_holes = match layer.format {
            QCOW2 => is_sparse(layer, told.cluster_size.unwrap_or(1)),
            "vmdk" => subformat.ends_with("Flat"),
            "vdi" => subformat == "fixed",
            _ => false,
        };
        let file = layer.image.sources().first().and_then(|source| source.as_file());
        Self {
            size: if is_raw { size.checked_next_multiple_of(SECTOR_LEN).unwrap_or(size) } else { size },
            start: file.filter(|_| is_raw).map_or(0, |slice| slice.start),
            always_present: ALWAYS_PRESENT.contains(&layer.format),
            is_raw,
            is_fixed: layer.format == VHD && subformat == "fixed",
            sees_holes,
            encrypted: told.encrypted,
            keeps_places: !told.encrypted,
        }
    }
}

/// Whether the file of a qcow2 image has clearly fewer bytes than clusters, as one whose clusters were set aside: only in such a one
/// does QEMU ask for holes, since that takes time. QEMU counts the clusters in use, and not those of the file.
fn is_sparse(layer: &Layer, cluster: u64) -> bool {
    let Some(metadata) = layer.path.as_ref().and_then(|path| path.metadata().ok()) else { return false };
    let cluster = cluster.max(1);
    let stored = metadata.blocks().saturating_mul(SECTOR_LEN) / cluster;
    metadata.len().div_ceil(cluster) >= (stored.saturating_mul(10) / 9).max(stored.saturating_add(2))
}

/// The bytes of a disk.
pub(crate) struct Runs {
    /// The disk.
    chain: Chain,
    /// Its layers, the top one first.
    layers: Vec<Below>,
    /// The file of the top layer.
    path: PathBuf,
}

impl Runs {
    /// The bytes of the disk that `layers` make, which `image` is the top of.
    pub(crate) fn new(image: &Image, layers: Vec<Layer>) -> Result<Self> {
        let known = layers.iter().map(Below::new).collect();
        let chain = Chain::new(layers.into_iter().map(|layer| layer.image).collect())?;
        Ok(Self { chain, layers: known, path: image.path.clone() })
    }

    /// Bytes of the disk; of one that is nothing but bytes, in whole sectors.
    pub(crate) fn size(&self) -> u64 {
        self.layers.first().map_or(0, |top| top.size)
    }

    /// Calls `visit` for every run in `range`.
    pub(crate) fn visit(
        &self,
        range: Range<u64>,
        visit: &mut dyn FnMut(&Run) -> std::result::Result<(), Fault>,
    ) -> std::result::Result<(), Fault> {
        let mut next = range.start;
        let mut last: Option<Run> = None;
        let (mut extents, mut holes) = (Vec::new(), Holes::new());
        while next < range.end {
            extents.clear();
            let reached = self.extents(next..range.end, &mut extents);
            next = reached.map_err(|error| Fault::of("Failed to read the image's map", &error))?;
            for extent in extents.iter().flat_map(|extent| self.parted(extent)).flatten() {
                self.split(&extent, &mut holes, &mut |run| {
                    if last.as_mut().is_some_and(|last| last.join(&run)) {
                        return Ok(());
                    }
                    last.replace(run).iter().try_for_each(&mut *visit)
                })?;
            }
        }
        last.iter().try_for_each(visit)
    }

    /// What the front of `range` is, and where that ends. Behind the end of the disk, the last sector is zeros.
    fn extents(&self, range: Range<u64>, extents: &mut Vec<Extent>) -> Result<u64> {
        let end = self.chain.size();
        if range.start < end {
            return self.chain.extents(range.start..range.end.min(end), EXTENTS_AT_ONCE, extents);
        }
        let len = range.end - range.start;
        extents.push(Extent { start: range.start, len, layer: 0, kind: ExtentKind::Zero { explicit: true } });
        Ok(range.end)
    }

    /// An extent, parted where its layer ends: a chain joins the zeros on both sides.
    fn parted(&self, extent: &Extent) -> [Option<Extent>; 2] {
        let end = self.layers.get(usize::from(extent.layer)).map_or(u64::MAX, |known| known.size);
        let is_zero = matches!(extent.kind, ExtentKind::Zero { .. } | ExtentKind::Parent);
        if !is_zero || extent.start >= end || extent.end() <= end {
            return [Some(*extent), None];
        }
        let (inside, behind) = (end - extent.start, extent.end() - end);
        [Some(Extent { len: inside, ..*extent }), Some(Extent { start: end, len: behind, ..*extent })]
    }

    /// Hands out the runs that an extent is.
    fn split(
        &self,
        extent: &Extent,
        holes: &mut Holes,
        take: &mut dyn FnMut(Run) -> std::result::Result<(), Fault>,
    ) -> std::result::Result<(), Fault> {
        let run = self.run(extent);
        if extent.is_zero() && run.host.is_none() {
            self.split_zeros(run, take)
        } else {
            self.split_data(run, holes, take)
        }
    }

    /// Hands out a run of zeros in parts: some of them may have a place in a file all the same.
    fn split_zeros(
        &self,
        run: Run,
        take: &mut dyn FnMut(Run) -> std::result::Result<(), Fault>,
    ) -> std::result::Result<(), Fault> {
        let end = run.start + run.len;
        if !self.layers.get(run.depth).is_some_and(|known| known.keeps_places && run.start < known.size) {
            return take(run);
        }
        let mut next = run.start;
        while next < end {
            let kept = self.chain.kept(next..end);
            let kept = kept.map_err(|error| Fault::of("Failed to read the image's map", &error))?;
            let len = kept.len.clamp(1, end - next);
            let host = kept.place.map(|(source, host)| (source.0 as usize, host));
            take(Run { start: next, len, host, ..run.clone() })?;
            next += len;
        }
        Ok(())
    }

    /// Hands out a run in parts: what is stored in a hole of its file is zero for all that.
    fn split_data(
        &self,
        run: Run,
        holes: &mut Holes,
        take: &mut dyn FnMut(Run) -> std::result::Result<(), Fault>,
    ) -> std::result::Result<(), Fault> {
        let sees_holes = run.data && self.layers.get(run.depth).is_some_and(|known| known.sees_holes);
        let Some((source, host)) = run.host.filter(|_| sees_holes) else { return take(run) };
        let Some(storage) = self.chain.sources().get(source) else { return take(run) };
        let id = SourceId(u32::try_from(source).unwrap_or(u32::MAX));
        let mut done = 0;
        while done < run.len {
            let left = run.len - done;
            let (zero, len) = holes.segment(id, storage.as_ref(), host + done);
            let len = if len == 0 { left } else { len.min(left) };
            take(Run { start: run.start + done, len, zero, host: Some((source, host + done)), ..run.clone() })?;
            done += len;
        }
        Ok(())
    }

    /// An extent in these terms.
    fn run(&self, extent: &Extent) -> Run {
        let layer = usize::from(extent.layer);
        let known = self.layers.get(layer).filter(|known| extent.start < known.size);
        // Behind the end of a layer, the one above it answers.
        let depth = if known.is_some() { layer } else { layer.saturating_sub(1) };
        let run = Run { start: extent.start, len: extent.len, depth, ..Run::default() };
        let stored = Run { present: true, data: true, ..run.clone() };
        match extent.kind {
            ExtentKind::Data { source, host } => {
                let plain = known.filter(|known| !known.encrypted);
                Run { host: plain.map(|known| (source.0 as usize, host + known.start)), ..stored }
            }
            ExtentKind::Encoded(_) => Run { compressed: true, ..stored },
            ExtentKind::Opaque => stored,
            ExtentKind::Zero { explicit } => {
                let present = explicit || known.is_some_and(|known| known.always_present);
                // A hole is at its place in the file, too.
                let host =
                    known.filter(|known| known.is_raw || known.is_fixed).map(|known| (0, extent.start + known.start));
                Run { present, zero: true, data: known.is_some_and(|known| known.is_fixed), host, ..run }
            }
            ExtentKind::Parent => Run { zero: true, ..run },
        }
    }

    /// The file that a source is.
    pub(crate) fn file(&self, source: usize) -> PathBuf {
        let found = self.chain.sources().get(source).and_then(|source| path_of(source.as_ref()));
        found.map_or_else(|| self.path.clone(), |path| below_folder(&self.path, &path))
    }
}

/// Where the file behind a source is, as the system calls it.
fn path_of(source: &dyn Storage) -> Option<PathBuf> {
    let slice = source.as_file()?;
    fs::read_link(Path::new("/proc/self/fd").join(slice.fd.as_raw_fd().to_string())).ok()
}

/// Extents that are asked for at once.
const EXTENTS_AT_ONCE: usize = 1024;
/// Formats that know no backing file, so that all their bytes are their own; for QEMU, VHD too.
const ALWAYS_PRESENT: [&str; 3] = [RAW, VHD, "vdi"];
/// The format that has clusters.
const QCOW2: &str = "qcow2";
/// Bytes of a sector, in which QEMU counts.
const SECTOR_LEN: u64 = 512;
/// VHD, as the library calls it.
const VHD: &str = "vhd";
