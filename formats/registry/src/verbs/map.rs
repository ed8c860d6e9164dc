//! Which guest bytes are stored where.

use std::ops::Range;
use std::path::{Path, PathBuf};

use imgfmt_core::{Chain, Extent, ExtentKind, Image, ImageExt, Layer, Result};

use super::files::path_of;
use super::open::{Access, RAW, open_layers};
use super::request::Source;

/// A run of guest bytes that are all of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapEntry<'a> {
    /// The first guest byte.
    pub start: u64,
    /// Guest bytes.
    pub length: u64,
    /// Which layer has them: 0 is the image itself. Where none has, the last one.
    pub depth: u32,
    /// Whether a layer has an entry for them.
    pub present: bool,
    /// Whether they are known to be zero.
    pub zero: bool,
    /// Whether they have to be read.
    pub data: bool,
    /// Whether they are stored compressed.
    pub compressed: bool,
    /// The host byte where they are stored as they are.
    pub offset: Option<u64>,
    /// The file where they are stored as they are.
    pub path: Option<&'a Path>,
}

impl MapEntry<'_> {
    /// Whether `next` continues this entry so that the two are one.
    fn continues_with(&self, next: &Self) -> bool {
        let offset = match (self.offset, next.offset) {
            (Some(here), Some(there)) => here.checked_add(self.length) == Some(there),
            (here, there) => here == there,
        };
        let same = |entry: &Self| (entry.depth, entry.present, entry.zero, entry.data, entry.compressed);
        offset && same(self) == same(next) && self.path == next.path
    }
}

/// Hands the entries for the guest bytes of `range`, as far as the disk goes, to `visit`, ascending and without gaps. Guest
/// data is not read.
///
/// # Errors
///
/// As [`open_layers`] and [`Image::map`], and what `visit` returns.
pub fn map(
    source: &Source,
    range: Range<u64>,
    access: &Access<'_>,
    visit: &mut dyn FnMut(&MapEntry<'_>) -> Result<()>,
) -> Result<()> {
    let layers = open_layers(&source.path, source.format.as_deref(), access)?;
    let plain: Vec<bool> = layers.iter().map(|layer| layer.format == RAW).collect();
    let sizes: Vec<u64> = layers.iter().map(|layer| layer.image.size()).collect();
    let paths = source_paths(&source.path, &layers);
    let chain = Chain::new(layers.into_iter().map(|layer| layer.image).collect())?;
    let range = range.start.min(chain.size())..range.end.min(chain.size());
    let mut pending: Option<MapEntry<'_>> = None;
    chain.visit_extents(range, &mut |extent| {
        for extent in within_layers(extent, &sizes).into_iter().flatten() {
            let entry = entry(&extent, &plain, &paths);
            match &mut pending {
                Some(last) if last.continues_with(&entry) => last.length += entry.length,
                _ => {
                    if let Some(last) = pending.replace(entry) {
                        visit(&last)?;
                    }
                }
            }
        }
        Ok(())
    })?;
    pending.iter().try_for_each(visit)
}

/// The parts of an extent in and behind the layer that is said to have it, whose size is among `sizes`: what lies behind its
/// end is what the layer above has nothing for.
fn within_layers(extent: Extent, sizes: &[u64]) -> [Option<Extent>; 2] {
    let end = sizes.get(usize::from(extent.layer)).copied().unwrap_or(u64::MAX);
    let is_hole = matches!(extent.kind, ExtentKind::Zero { explicit: false } | ExtentKind::Parent);
    if extent.layer == 0 || !is_hole || extent.end() <= end {
        return [Some(extent), None];
    }
    let start = extent.start.max(end);
    let inside = Extent { len: start - extent.start, ..extent };
    let behind = Extent {
        start,
        len: extent.end() - start,
        layer: extent.layer - 1,
        kind: ExtentKind::Zero { explicit: false },
    };
    [Some(inside).filter(|inside| inside.len > 0), Some(behind)]
}

/// Where the sources of all layers are, in the order in which the chain counts them.
fn source_paths(top: &Path, layers: &[Layer]) -> Vec<Option<PathBuf>> {
    let mut paths = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let own = if index == 0 { Some(top.to_path_buf()) } else { layer.path.clone() };
        for (number, storage) in layer.image.sources().iter().enumerate() {
            // The first source of an image is its own file, called as the caller calls it.
            let path = own.clone().filter(|_| number == 0);
            paths.push(path.or_else(|| path_of(storage.as_ref())));
        }
    }
    paths
}

/// What is said about an extent. `plain` are the layers whose bytes all have a place, holes too.
fn entry<'p>(extent: &Extent, plain: &[bool], paths: &'p [Option<PathBuf>]) -> MapEntry<'p> {
    let Extent { start, len, layer, kind } = *extent;
    let empty = MapEntry {
        start,
        length: len,
        depth: u32::from(layer),
        present: true,
        zero: false,
        data: true,
        compressed: false,
        offset: None,
        path: None,
    };
    match kind {
        ExtentKind::Data { source, host } => {
            let path = paths.get(source.0 as usize).and_then(Option::as_deref);
            MapEntry { offset: Some(host), path, ..empty }
        }
        ExtentKind::Encoded(_) => MapEntry { compressed: true, ..empty },
        ExtentKind::Opaque => empty,
        ExtentKind::Zero { explicit } => {
            let hole =
                plain.get(usize::from(layer)) == Some(&true) && plain.len() == usize::from(layer) + 1 && !explicit;
            let path = paths.last().and_then(Option::as_deref).filter(|_| hole);
            MapEntry {
                present: explicit || hole,
                zero: true,
                data: false,
                offset: hole.then_some(start),
                path,
                ..empty
            }
        }
        ExtentKind::Parent => MapEntry { present: false, zero: true, data: false, ..empty },
    }
}
