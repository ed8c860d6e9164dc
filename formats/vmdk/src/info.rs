//! What is said about a disk.

use imgfmt_core::Description;
use serde_json::{Map, Value, json};

use crate::NAME;
use crate::descriptor::Descriptor;
use crate::header::Kind;
use crate::layout::{Flags, byte_of};
use crate::map::{Content, DiskExtent};
use crate::parent::NO_PARENT;
use crate::sparse::SparseExtent;

/// What is said about one extent.
#[derive(Clone, Debug)]
pub(crate) struct ExtentInfo {
    /// Its file, as it was opened.
    filename: String,
    /// Its type; empty for a disk that is one file, as QEMU has it.
    format: &'static str,
    /// Its guest bytes.
    size: u64,
    /// Bytes of its grains.
    grain_len: Option<u64>,
    /// Whether its grains are compressed.
    compressed: bool,
}

impl ExtentInfo {
    /// What is said about `content`.
    pub(crate) fn new(filename: String, format: &'static str, size: u64, content: &Content) -> Self {
        let header = match content {
            Content::Sparse(sparse) => Some(&sparse.header),
            _ => None,
        };
        let compressed = header.is_some_and(|header| header.compressed);
        Self { filename, format, size, grain_len: header.map(|header| header.grain_len()), compressed }
    }

    /// The names that QEMU uses.
    fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("filename".into(), json!(self.filename));
        map.insert("format".into(), json!(self.format));
        map.insert("virtual-size".into(), json!(self.size));
        map.extend(self.grain_len.map(|len| ("cluster-size".into(), json!(len))));
        map.extend(self.compressed.then(|| ("compressed".into(), json!(true))));
        Value::Object(map)
    }
}

/// Says what there is to be said, but for the parent.
pub(crate) fn describe(descriptor: &Descriptor, infos: &[ExtentInfo], extents: &[DiskExtent]) -> Description {
    let sparse: Vec<&SparseExtent> = extents
        .iter()
        .filter_map(|extent| match &extent.content {
            Content::Sparse(sparse) => Some(sparse.as_ref()),
            _ => None,
        })
        .collect();
    let compressed = sparse.iter().any(|sparse| sparse.header.compressed);
    let derived = if compressed { "streamOptimized" } else { "monolithicSparse" };
    let subformat = descriptor.create_type.clone().unwrap_or_else(|| derived.to_owned());
    Description {
        format: NAME,
        specific: specific(descriptor, &subformat, infos),
        subformat: Some(subformat),
        cluster_size: common_grain_len(infos),
        compressed,
        dirty: sparse.iter().any(|sparse| sparse.header.unclean),
        features: features(&sparse),
        creator: descriptor.database("comment").map(str::to_owned),
        details: details(descriptor, &sparse),
        ..Description::default()
    }
}

/// Bytes of a grain, where all extents have grains and they are alike.
fn common_grain_len(infos: &[ExtentInfo]) -> Option<u64> {
    let first = infos.first()?.grain_len?;
    infos.iter().all(|info| info.grain_len == Some(first)).then_some(first)
}

/// What QEMU says, under its names.
fn specific(descriptor: &Descriptor, create_type: &str, infos: &[ExtentInfo]) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("create-type".into(), json!(create_type));
    map.insert("cid".into(), json!(descriptor.cid.unwrap_or_default()));
    map.insert("parent-cid".into(), json!(descriptor.parent_cid.unwrap_or(NO_PARENT)));
    map.insert("extents".into(), infos.iter().map(ExtentInfo::to_json).collect());
    map
}

/// Names of what the sparse extents make use of.
fn features(sparse: &[&SparseExtent]) -> Vec<String> {
    let any = |wanted: Flags| sparse.iter().any(|sparse| sparse.header.flags.has(wanted));
    let features = [
        ("redundant-grain-directory", any(Flags::REDUNDANT)),
        ("zeroed-grain", any(Flags::ZEROED_GRAINS)),
        ("compressed-grains", any(Flags::COMPRESSED)),
        ("markers", any(Flags::MARKERS)),
        ("footer", sparse.iter().any(|sparse| sparse.has_footer)),
    ];
    features.into_iter().filter(|&(_, used)| used).map(|(name, _)| name.to_owned()).collect()
}

/// What QEMU does not show.
fn details(descriptor: &Descriptor, sparse: &[&SparseExtent]) -> Map<String, Value> {
    let mut map = Map::new();
    map.extend(descriptor.version.map(|version| ("descriptor-version".into(), json!(version))));
    map.extend(descriptor.encoding.name().map(|name| ("encoding".into(), json!(name))));
    map.extend(descriptor.create_type.is_none().then(|| ("create-type-stated".into(), json!(false))));
    if sparse.iter().any(|sparse| sparse.directory.redundant_used) {
        map.insert("redundant-grain-directory-used".into(), json!(true));
    }
    if !sparse.is_empty() {
        map.insert("sparse-extents".into(), sparse.iter().map(|sparse| layout_of(sparse)).collect());
    }
    if !descriptor.others.is_empty() {
        let keys = descriptor.others.iter().map(|(key, value)| (key.clone(), json!(value)));
        map.insert("descriptor".into(), Value::Object(keys.collect()));
    }
    map
}

/// How a sparse extent is laid out; places in bytes.
fn layout_of(sparse: &SparseExtent) -> Value {
    let header = &sparse.header;
    let kind = match header.kind {
        Kind::Hosted => "hosted",
        Kind::Cowd => "vmfsSparse",
        Kind::SeSparse(_) => "seSparse",
    };
    json!({
        "kind": kind,
        "version": header.version,
        "flags": header.flags.0,
        "capacity": byte_of(header.capacity),
        "grain-table-entries": header.gtes_per_gt,
        "grain-directory-offset": byte_of(header.gd_offset),
        "redundant-grain-directory-offset": header.redundant_directory().map(byte_of),
        "overhead": byte_of(header.overhead),
        "unclean-shutdown": header.unclean,
    })
}
