//! From options to settings that fit together.

use std::time::{SystemTime, UNIX_EPOCH};

use imgfmt_core::{CreateRequest, Error, OptionSpec, Options, Result};
use uuid::Uuid;

use crate::footer::{DiskType, Footer};
use crate::geometry::Geometry;
use crate::layout::{EPOCH, FEATURES_RESERVED, FOOTER_LEN, MAX_SECTORS, NO_OFFSET, SECTOR_LEN};

/// What a new disk is to be; every combination in here is one that the format has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Which kind.
    pub(super) disk_type: DiskType,
    /// Guest bytes: whole sectors.
    pub(super) size: u64,
    /// What programs that do not go by the size see.
    geometry: Geometry,
    /// How sizes are rounded.
    rounding: Rounding,
    /// Bytes of a block, where there are blocks.
    pub(super) block_len: u32,
    /// `Unique Id`.
    unique_id: Uuid,
    /// `Time Stamp`.
    time_stamp: u32,
}

impl Settings {
    /// Settings for `request`.
    pub(super) fn new(request: &CreateRequest<'_>) -> Result<Self> {
        let options = request.options;
        options.check(OPTIONS)?;
        let rounding = Rounding::new(options)?;
        let (size, geometry) = rounding.round(request.size)?;
        Ok(Self {
            disk_type: disk_type(request)?,
            size,
            geometry,
            rounding,
            block_len: block_len(options)?,
            unique_id: unique_id(options)?,
            time_stamp: time_stamp(options)?,
        })
    }

    /// The same for a disk of `size` bytes.
    pub(super) fn with_size(self, size: u64) -> Result<Self> {
        let (size, geometry) = self.rounding.round(size)?;
        Ok(Self { size, geometry, ..self })
    }

    /// The footer.
    pub(super) fn footer(&self) -> Footer {
        Footer {
            features: FEATURES_RESERVED,
            data_offset: if self.disk_type == DiskType::Fixed { NO_OFFSET } else { FOOTER_LEN as u64 },
            time_stamp: self.time_stamp,
            creator_app: CREATOR_APP,
            creator_version: creator_version(),
            creator_host: CREATOR_HOST,
            original_size: self.size,
            current_size: self.size,
            geometry: self.geometry,
            disk_type: self.disk_type,
            unique_id: self.unique_id,
            saved_state: false,
            checksum_ok: true,
        }
    }
}

/// The kind of disk: a differencing one where there is a backing file.
fn disk_type(request: &CreateRequest<'_>) -> Result<DiskType> {
    let words = [("dynamic", DiskType::Dynamic), ("fixed", DiskType::Fixed)];
    let wanted = request.options.word("subformat", &words, DiskType::Dynamic)?;
    match (wanted, request.backing) {
        (DiskType::Fixed, Some(_)) => Err(Error::invalid("a VHD with subformat=fixed cannot have a backing file")),
        (DiskType::Fixed, None) if request.options.get(BLOCK_SIZE).is_some() => {
            Err(Error::invalid("block_size is for subformat=dynamic: a fixed VHD has no blocks"))
        }
        (_, Some(_)) => Ok(DiskType::Differencing),
        (wanted, None) => Ok(wanted),
    }
}

/// How the size of a disk is rounded.
#[derive(Clone, Copy, Debug)]
struct Rounding {
    /// To a multiple of these bytes; not 0.
    align: u64,
    /// Whether to that alone, or else to a geometry where there is one.
    exact: bool,
}

impl Rounding {
    /// What the options say.
    fn new(options: &Options) -> Result<Self> {
        let align = options.size(ALIGN, SECTOR_LEN)?;
        if align == 0 || !align.is_multiple_of(SECTOR_LEN) {
            return Err(Error::invalid(format!("align is {align}, which is not a number of whole sectors")));
        }
        let exact = options.flag(FORCE_SIZE, true)?;
        if !exact && options.get(ALIGN).is_some() {
            return Err(Error::invalid("align needs force_size=on: a geometry has its own steps"));
        }
        Ok(Self { align, exact })
    }

    /// The size of a disk for `wanted` bytes, and its geometry.
    ///
    /// The geometry is the one that the specification computes where that says the size exactly. Where it does not, it is
    /// the largest one: programs that would take the geometry for the size take the size then.
    fn round(self, wanted: u64) -> Result<(u64, Geometry)> {
        if !self.exact {
            let geometry = Geometry::covering_sectors(wanted.div_ceil(SECTOR_LEN));
            if geometry != Geometry::MAX {
                return Ok((geometry.size(), geometry));
            }
        }
        let most = MAX_SECTORS * SECTOR_LEN;
        let size = wanted.checked_next_multiple_of(self.align).filter(|&size| size <= most).ok_or_else(|| {
            Error::invalid(format!("a disk of {wanted} bytes is more than a VHD can have: 2040 GiB, {most} bytes"))
        })?;
        Ok((size, Geometry::exact(size)))
    }
}

/// Bytes of a block.
fn block_len(options: &Options) -> Result<u32> {
    let len = options.size(BLOCK_SIZE, DEFAULT_BLOCK_LEN)?;
    let known = u32::try_from(len).ok().filter(|len| len.is_power_of_two() && BLOCK_LENS.contains(len));
    known.ok_or_else(|| Error::invalid(format!("block_size is {len}, which is no power of two from 512k to 256M")))
}

/// The disk's identity.
fn unique_id(options: &Options) -> Result<Uuid> {
    match options.get("uuid") {
        None => Ok(Uuid::new_v4()),
        Some(text) => Uuid::parse_str(text).map_err(|_| Error::invalid(format!("uuid is {text}, which is not a UUID"))),
    }
}

/// When the disk was made, in seconds since 2000.
fn time_stamp(options: &Options) -> Result<u32> {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(EPOCH, |since| since.as_secs());
    let Some(given) = options.number("timestamp")? else {
        return Ok(u32::try_from(now().saturating_sub(EPOCH)).unwrap_or(u32::MAX));
    };
    let since = u64::try_from(given).ok().and_then(|given| given.checked_sub(EPOCH));
    since.and_then(|since| u32::try_from(since).ok()).ok_or_else(|| {
        Error::invalid(format!(
            "timestamp is {given}, outside {EPOCH} (the year 2000) to {}",
            EPOCH + u64::from(u32::MAX)
        ))
    })
}

/// `Creator Version`: the version of this crate.
fn creator_version() -> u32 {
    let number = |text: &str| text.parse::<u16>().map_or(0, u32::from);
    number(env!("CARGO_PKG_VERSION_MAJOR")) << 16 | number(env!("CARGO_PKG_VERSION_MINOR"))
}

/// Options of a new disk.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "subformat",
        values: "dynamic|fixed",
        default: "dynamic",
        help: "store blocks where something is, or all bytes, as Azure wants it; with a backing file, what differs from it",
    },
    OptionSpec {
        name: FORCE_SIZE,
        values: "on|off",
        default: "on",
        help: "make the disk exactly as large as asked for; off rounds up to whole cylinders, for Virtual PC",
    },
    OptionSpec {
        name: ALIGN,
        values: "SIZE",
        default: "512",
        help: "round the size of the disk up to a multiple of this; Azure takes only whole MiB: 1M",
    },
    OptionSpec {
        name: BLOCK_SIZE,
        values: "SIZE",
        default: "2M",
        help: "bytes of a block, a power of two from 512k to 256M; Hyper-V makes 2M and 512k",
    },
    OptionSpec { name: "uuid", values: "UUID", default: "random", help: "by what children will know the disk" },
    OptionSpec {
        name: "timestamp",
        values: "NUM",
        default: "now",
        help: "when the disk was made, in seconds since 1970",
    },
];

/// Name of the option that makes the size exact.
const FORCE_SIZE: &str = "force_size";
/// Name of the option that rounds the size.
const ALIGN: &str = "align";
/// Name of the option for the length of blocks.
const BLOCK_SIZE: &str = "block_size";
/// `Creator Application` of what is written here.
const CREATOR_APP: [u8; 4] = *b"imgf";
/// `Creator Host OS`: Windows, as all write it. The specification has only that and the Macintosh.
const CREATOR_HOST: [u8; 4] = *b"Wi2k";
/// Bytes of a block by default, as everybody's.
const DEFAULT_BLOCK_LEN: u64 = 2 << 20;
/// Bytes that a block may have. Not a rule of the format: what readers are known to take.
const BLOCK_LENS: std::ops::RangeInclusive<u32> = 512 << 10..=256 << 20;

#[cfg(test)]
mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;

    fn settings(size: u64, options: &str) -> Result<Settings> {
        let options = Options::parse(options).unwrap();
        Settings::new(&CreateRequest::new(size, &options))
    }

    #[test]
    fn sizes_are_exact_unless_somebody_asks_for_more() {
        let size = |wanted, options| settings(wanted, options).unwrap().size;
        assert_eq!(size(1 << 20, ""), 1 << 20);
        assert_eq!(size((1 << 20) + 1, ""), (1 << 20) + 512);
        assert_eq!(size((1 << 20) + 1, "align=1M"), 2 << 20);
        assert_eq!(size(1 << 20, "force_size=off"), 1_079_296);
        assert_eq!(size(1 << 40, "force_size=off"), 1 << 40);
        assert_eq!(size(2040 << 30, ""), 2040 << 30);
    }

    #[test]
    fn a_geometry_says_the_size_or_nothing() {
        let geometry = |wanted, options| settings(wanted, options).unwrap().geometry;
        assert_eq!(geometry(1 << 20, ""), Geometry::MAX);
        assert_eq!(geometry(1 << 20, "force_size=off").size(), 1_079_296);
        assert_eq!(geometry(1_079_296, "").size(), 1_079_296);
    }

    #[test]
    fn what_the_format_does_not_have_is_refused() {
        for (size, options) in [
            ((2040 << 30) + 1, ""),
            (u64::MAX, ""),
            (512, "align=100"),
            (512, "align=0"),
            (512, "align=1M,force_size=off"),
            (512, "block_size=256k"),
            (512, "block_size=3M"),
            (512, "block_size=512M"),
            (512, "block_size=2M,subformat=fixed"),
            (512, "subformat=sparse"),
            (512, "uuid=1"),
            (512, "timestamp=1"),
            (512, "timestamp=9999999999"),
            (512, "cluster_size=2M"),
        ] {
            assert_eq!(settings(size, options).unwrap_err().kind(), ErrorKind::Invalid, "{size} {options}");
        }
    }

    #[test]
    fn an_identity_is_random_unless_it_is_given() {
        let id = |options| settings(512, options).unwrap().footer().unique_id;
        assert_ne!(id(""), id(""));
        assert_eq!(id("uuid=00112233-4455-6677-8899-aabbccddeeff").as_bytes()[..3], [0, 0x11, 0x22]);
        assert_eq!(settings(512, "timestamp=946684807").unwrap().footer().time_stamp, 7);
    }
}
