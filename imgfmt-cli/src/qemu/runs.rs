//! Where the bytes of a disk are, in the terms of `qemu-img map`.

use std::fs;
use std::ops::Range;
use std::os::fd::AsRawFd;
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
    /// Guest bytes.
    size: u64,
    /// Whether bytes that are nowhere are said to be there: of formats that know no backing file.
    always_present: bool,
    /// Whether it is nothing but its bytes.
    is_raw: bool,
    /// Whether it is a fixed VHD, which stores all bytes, also those that are holes of its file.
    is_fixed: bool,
    /// Whether holes of its file are looked for in what it stores.
    sees_holes: bool,
    /// Whether what is stored is encrypted.
    encrypted: bool,
    /// Whether zeros may have a place in its file that counts.
    keeps_places: bool,
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
        let below = |layer: &Layer| {
            let told = layer.image.describe();
            Below {
                size: layer.image.size(),
                always_present: ALWAYS_PRESENT.contains(&layer.format),
                is_raw: layer.format == RAW,
                is_fixed: layer.format == VHD && told.subformat.as_deref() == Some("fixed"),
                sees_holes: SEE_HOLES.contains(&layer.format),
                encrypted: told.encrypted,
                keeps_places: !told.encrypted,
            }
        };
        let known = layers.iter().map(below).collect();
        let chain = Chain::new(layers.into_iter().map(|layer| layer.image).collect())?;
        Ok(Self { chain, layers: known, path: image.path.clone() })
    }

    /// Bytes of the disk.
    pub(crate) fn size(&self) -> u64 {
        self.chain.size()
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
            let reached = self.chain.extents(next..range.end, EXTENTS_AT_ONCE, &mut extents);
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
                let plain = known.is_some_and(|known| !known.encrypted);
                Run { host: plain.then_some((source.0 as usize, host)), ..stored }
            }
            ExtentKind::Encoded(_) => Run { compressed: true, ..stored },
            ExtentKind::Opaque => stored,
            ExtentKind::Zero { explicit } => {
                let present = explicit || known.is_some_and(|known| known.always_present);
                // A hole is at its place in the file, too.
                let host = known.filter(|known| known.is_raw || known.is_fixed).map(|_| (0, extent.start));
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
/// Formats in whose files QEMU looks for holes.
const SEE_HOLES: [&str; 3] = ["qcow2", "vmdk", "vdi"];
/// VHD, as the library calls it.
const VHD: &str = "vhd";
