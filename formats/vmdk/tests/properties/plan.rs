//! What a sparse extent is to be.

use imgfmt_core::conformance::Noise;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

/// Bytes of a sector.
pub(crate) const SECTOR: usize = 512;

/// What a grain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not stored: the parent shows, or zeros.
    Absent,
    /// Zeros by entry 1, where the extent has that.
    Zeroed,
    /// Stored: noise.
    Noise,
    /// Stored: text.
    Text,
}

/// Where the grain directory and its tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before the grains.
    Front,
    /// Behind the grains, as the header says.
    Behind,
    /// Behind the grains, as a footer says.
    Footer,
}

/// The plan of a sparse extent.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The version in the header.
    pub(crate) version: u32,
    /// Sectors of a grain.
    pub(crate) grain: usize,
    /// Entries of a grain table.
    pub(crate) gtes: usize,
    /// Guest sectors.
    pub(crate) sectors: usize,
    /// The grains.
    pub(crate) kinds: Vec<Kind>,
    /// Whether grains are compressed, and whether they have markers.
    pub(crate) compressed: Option<bool>,
    /// Whether entry 1 is a grain of zeros.
    pub(crate) zeroed: bool,
    /// Where the directory is.
    pub(crate) place: Place,
    /// Whether there is a redundant directory, and whether the first one is lost.
    pub(crate) redundant: Option<bool>,
    /// Whether grains lie in random order.
    pub(crate) shuffled: bool,
    /// Whether the last grain is stored only as far as the disk goes.
    pub(crate) short_last: bool,
    /// Whether the newline bytes are checked.
    pub(crate) newlines: bool,
    /// Sectors of zeros behind the end.
    pub(crate) padding: usize,
    /// What contents and order follow from.
    pub(crate) seed: u64,
}

/// Plans of extents of up to some hundred grains.
pub(crate) fn plans() -> impl Strategy<Value = Plan> {
    let kind = prop_oneof![
        3 => Just(Kind::Absent),
        1 => Just(Kind::Zeroed),
        2 => Just(Kind::Noise),
        2 => Just(Kind::Text),
    ];
    let runs = proptest::collection::vec((kind, 1..40usize), 1..12);
    let shape = (select(vec![8, 8, 8, 16, 32, 128]), select(vec![1, 3, 16, 128, 512]), 1..10_000usize, 1..4u32);
    let compressed = prop_oneof![Just(None), Just(Some(true)), Just(Some(true)), Just(Some(false))];
    let place = prop_oneof![Just(Place::Front), Just(Place::Behind), Just(Place::Footer)];
    let redundant = prop_oneof![2 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let padding = prop_oneof![Just(0), 1..300usize];
    let how = (compressed, place, redundant, any::<[bool; 4]>(), padding, any::<u64>());
    (runs, shape, how).prop_map(|(runs, (grain, gtes, sectors, version), how)| {
        let (compressed, place, redundant, [zeroed, shuffled, short_last, newlines], padding, seed) = how;
        // Large grains make small disks too.
        let sectors = 1 + sectors % (grain * 120);
        let all = runs.into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count));
        let kinds = all.cycle().take(sectors.div_ceil(grain)).collect();
        // A footer repeats the place of one directory alone, and so what is lost cannot be found again.
        let redundant = redundant.filter(|_| place != Place::Footer);
        Plan {
            version,
            grain,
            gtes,
            sectors,
            kinds,
            compressed,
            zeroed,
            place,
            redundant,
            shuffled,
            short_last,
            newlines,
            padding,
            seed,
        }
    })
}

impl Plan {
    /// Guest bytes.
    pub(crate) fn size(&self) -> usize {
        self.sectors * SECTOR
    }

    /// Guest bytes of a grain.
    pub(crate) fn grain_len(&self) -> usize {
        self.grain * SECTOR
    }

    /// Whether grains have markers.
    pub(crate) fn markers(&self) -> bool {
        self.compressed == Some(true)
    }

    /// The bytes of each grain that is stored, and nothing for the others.
    pub(crate) fn contents(&self, noise: &mut Noise) -> Vec<Vec<u8>> {
        let content = |&kind: &Kind| {
            let mut bytes = vec![0; self.grain_len()];
            match kind {
                Kind::Noise => noise.fill(&mut bytes),
                Kind::Text => noise.text(&mut bytes),
                Kind::Absent | Kind::Zeroed => bytes.clear(),
            }
            bytes
        };
        self.kinds.iter().map(content).collect()
    }

    /// What the layer shows: `None` where a parent would.
    pub(crate) fn bytes(&self, contents: &[Vec<u8>]) -> Vec<Option<u8>> {
        let grains = self.kinds.iter().zip(contents).flat_map(|(kind, content)| match kind {
            Kind::Zeroed if self.zeroed => vec![Some(0); self.grain_len()],
            Kind::Absent | Kind::Zeroed => vec![None; self.grain_len()],
            Kind::Noise | Kind::Text => content.iter().copied().map(Some).collect(),
        });
        grains.take(self.size()).collect()
    }

    /// An embedded descriptor.
    pub(crate) fn descriptor(&self, parent: Option<&str>) -> String {
        let line = format!("RW {} SPARSE \"anything.vmdk\"\n", self.sectors);
        descriptor("monolithicSparse", parent, &line)
    }
}

/// A descriptor with these extent lines.
pub(crate) fn descriptor(create_type: &str, parent: Option<&str>, lines: &str) -> String {
    let cid = if parent.is_some() { "12345678" } else { "ffffffff" };
    let hint = parent.map(|name| format!("parentFileNameHint=\"{name}\"\n")).unwrap_or_default();
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID={cid}\ncreateType=\"{create_type}\"\n{hint}\n\
         # Extent description\n{lines}\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"lsilogic\"\n"
    )
}
