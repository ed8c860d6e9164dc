//! Opening: what is on the disc, and whether all of it is there.

use std::sync::Arc;

use imgfmt_core::{Error, OpenContext, Result, Storage};

use crate::boot::Catalog;
use crate::disc::Disc;
use crate::hybrid::{HEAD_LEN, Hybrid};
use crate::image::IsoImage;
use crate::info::Contents;
use crate::layout::{FIRST_DESCRIPTOR, HIGH_SIERRA_SHIFT, SECTOR_LEN, SPACE_SIZE_AT};
use crate::scan::Scan;
use crate::susp::SystemUse;
use crate::udf::Udf;

/// Opens the disc in `storage`.
pub(crate) fn open(storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<IsoImage> {
    context.without_snapshots()?;
    let disc = Disc::new(storage)?;
    let scan = Scan::read(&disc)?;
    let udf = scan.nsr.and_then(|_| Udf::read(&disc));
    let truncated = match check_whole(&disc, &scan, udf.as_ref()) {
        Err(error) if !context.describe_only => return Err(error),
        checked => checked.err().map(|error| error.to_string()),
    };
    let system_use = match &scan.primary {
        Some((volume, _)) if !volume.high_sierra => SystemUse::read(&disc, volume),
        _ => SystemUse::default(),
    };
    let catalog = scan.catalog_at.map(|sector| disc.sector(sector.into()).ok().map(|sector| Catalog::parse(&sector)));
    let hybrid = Hybrid::parse(&disc.read_array::<HEAD_LEN>(0)?);
    let contents =
        Contents { framing: disc.framing, len: disc.len(), scan, udf, system_use, catalog, hybrid, truncated };
    Ok(IsoImage::new(disc, contents.describe()))
}

/// Checks that the disc is as long as its volumes say that they are.
fn check_whole(disc: &Disc, scan: &Scan, udf: Option<&Udf>) -> Result<()> {
    if let Some((volume, sector)) = &scan.primary {
        let shift = if volume.high_sierra { HIGH_SIERRA_SHIFT } else { 0 };
        let at = disc.host_of(sector * SECTOR_LEN).saturating_add((SPACE_SIZE_AT + shift) as u64);
        check_len(disc, volume.len(), "Volume Space Size", at)?;
    }
    let sequence_at = disc.host_of(FIRST_DESCRIPTOR * SECTOR_LEN);
    match udf {
        Some(udf) => {
            let (end, descriptor) = udf.len();
            check_len(disc, end, "Partition Length", disc.host_of(descriptor).saturating_add(PARTITION_LEN_AT))
        }
        None if scan.nsr.is_none() => Ok(()),
        None if disc.len() < ANCHOR_END => check_len(disc, ANCHOR_END, ANCHOR, sequence_at),
        // The same data shows by way of ISO 9660.
        None if scan.primary.is_some() => Ok(()),
        None => Err(Error::malformed("is not in block 256, however long blocks are").field(ANCHOR).at(sequence_at)),
    }
}

/// Checks that the disc has the bytes up to `end`, which `field` at byte `at` asks for.
fn check_len(disc: &Disc, end: u64, field: &'static str, at: u64) -> Result<()> {
    if end <= disc.len() {
        return Ok(());
    }
    let what = format!("asks for {end} bytes, but there are {}: the image is truncated", disc.len());
    Err(Error::out_of_bounds(what).field(field).at(at))
}

/// The structure that says where the descriptors of UDF are.
const ANCHOR: &str = "Anchor Volume Descriptor Pointer";
/// Position of the length in a partition descriptor. ECMA-167, 3/10.5.
const PARTITION_LEN_AT: u64 = 192;
/// The byte behind the first anchor, where blocks are as long as sectors.
const ANCHOR_END: u64 = 257 * SECTOR_LEN;
