//! Feature bits: which are in use, and which forbid reading.

use imgfmt_core::Result;

use crate::extensions::Extensions;
use crate::layout::{
    AUTOCLEAR_BITMAPS, AUTOCLEAR_DATA_FILE_RAW, AUTOCLEAR_FEATURES_AT, COMPATIBLE_FEATURES_AT,
    COMPATIBLE_LAZY_REFCOUNTS, FEATURES, FeatureKind, INCOMPATIBLE_COMPRESSION, INCOMPATIBLE_CORRUPT,
    INCOMPATIBLE_DATA_FILE, INCOMPATIBLE_DIRTY, INCOMPATIBLE_EXTENDED_L2, INCOMPATIBLE_FEATURES_AT, VERSION_2,
};
use imgfmt_core::fields::{Fields, Place};

/// The three feature fields; all 0 in version 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    /// A reader has to know every bit.
    pub(crate) incompatible: u64,
    /// Bits that can be ignored.
    pub(crate) compatible: u64,
    /// Bits that can be ignored, and that a writer clears.
    pub(crate) autoclear: u64,
}

impl Features {
    /// The fields of a header of `version`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the header is cut.
    pub(crate) fn parse(fields: &Fields<'_>, version: u32) -> Result<Self> {
        if version == VERSION_2 {
            return Ok(Self::default());
        }
        Ok(Self {
            incompatible: fields.u64(INCOMPATIBLE_FEATURES_AT)?,
            compatible: fields.u64(COMPATIBLE_FEATURES_AT)?,
            autoclear: fields.u64(AUTOCLEAR_FEATURES_AT)?,
        })
    }

    /// Checks that the image can be read with what is known here; `extensions` may have names for the rest.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported), with the names of the features.
    pub(crate) fn check(self, extensions: &Extensions) -> Result<()> {
        let missing = self.incompatible & !READABLE;
        if missing == 0 {
            return Ok(());
        }
        let names: Vec<_> = bits(missing).map(|bit| name(FeatureKind::Incompatible, bit, extensions)).collect();
        let what = format!("asks for what is not supported: {}", names.join(", "));
        Err(Place::in_header("incompatible_features", INCOMPATIBLE_FEATURES_AT).unsupported(what))
    }

    /// The names of all bits that are set.
    pub(crate) fn names(self, extensions: &Extensions) -> Vec<String> {
        let of = |kind, field| bits(field).map(move |bit| name(kind, bit, extensions));
        of(FeatureKind::Incompatible, self.incompatible)
            .chain(of(FeatureKind::Compatible, self.compatible))
            .chain(of(FeatureKind::Autoclear, self.autoclear))
            .collect()
    }

    /// Whether refcounts may be stale.
    pub(crate) fn dirty(self) -> bool {
        self.incompatible & INCOMPATIBLE_DIRTY != 0
    }

    /// Whether somebody found the metadata damaged.
    pub(crate) fn corrupt(self) -> bool {
        self.incompatible & INCOMPATIBLE_CORRUPT != 0
    }

    /// Whether the compression type is not 0.
    pub(crate) fn compression(self) -> bool {
        self.incompatible & INCOMPATIBLE_COMPRESSION != 0
    }

    /// Whether guest data is in another file.
    pub(crate) fn data_file(self) -> bool {
        self.incompatible & INCOMPATIBLE_DATA_FILE != 0
    }

    /// Whether the data file alone is the disk.
    pub(crate) fn data_file_raw(self) -> bool {
        self.data_file() && self.autoclear & AUTOCLEAR_DATA_FILE_RAW != 0
    }

    /// Whether L2 entries know subclusters.
    pub(crate) fn extended_l2(self) -> bool {
        self.incompatible & INCOMPATIBLE_EXTENDED_L2 != 0
    }

    /// Whether refcounts may be written late.
    pub(crate) fn lazy_refcounts(self) -> bool {
        self.compatible & COMPATIBLE_LAZY_REFCOUNTS != 0
    }

    /// Whether the bitmaps are in step with the image.
    pub(crate) fn bitmaps(self) -> bool {
        self.autoclear & AUTOCLEAR_BITMAPS != 0
    }
}

/// The numbers of the bits that are set.
fn bits(field: u64) -> impl Iterator<Item = u8> {
    (0..64).filter(move |bit| field >> bit & 1 == 1)
}

/// What a bit is called: by the specification, by the image's own table, or by its number.
fn name(kind: FeatureKind, bit: u8, extensions: &Extensions) -> String {
    if let Some(feature) = FEATURES.iter().find(|feature| feature.kind == kind && feature.bit == bit) {
        return feature.name.to_owned();
    }
    match extensions.feature_name(kind, bit) {
        Some(name) => name,
        None => format!("{} bit {bit}", kind.name()),
    }
}

/// The incompatible features that do not keep an image from being read here.
const READABLE: u64 = INCOMPATIBLE_DIRTY
    | INCOMPATIBLE_CORRUPT
    | INCOMPATIBLE_DATA_FILE
    | INCOMPATIBLE_COMPRESSION
    | INCOMPATIBLE_EXTENDED_L2;
