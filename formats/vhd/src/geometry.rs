//! The geometry of a disk: cylinders, heads and sectors, which some programs take for its size.

use crate::layout::SECTOR_LEN;

/// `Disk Geometry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Cylinders.
    pub(crate) cylinders: u16,
    /// Heads.
    pub(crate) heads: u8,
    /// Sectors of a track.
    pub(crate) sectors: u8,
}

impl Geometry {
    /// The largest geometry, 127.5 GiB: that of all larger disks, and of those whose size is not to be taken from it.
    pub(crate) const MAX: Self = Self { cylinders: u16::MAX, heads: 16, sectors: 255 };

    /// The geometry of a disk of `total` sectors, which may have a few more than the geometry says.
    /// "Appendix: CHS Calculation".
    pub(crate) fn of_sectors(total: u64) -> Self {
        let total = total.min(Self::MAX.total());
        let (heads, sectors) = if total >= LARGE_FROM { (16, 255) } else { small_tracks(total) };
        let cylinders = u16::try_from(total / sectors / heads).unwrap_or(u16::MAX);
        // Both are small: they come from the numbers above.
        Self { cylinders, heads: u8::try_from(heads).unwrap_or(16), sectors: u8::try_from(sectors).unwrap_or(u8::MAX) }
    }

    /// The geometry of the smallest disk of at least `total` sectors that one says exactly, as QEMU looks for it;
    /// [`MAX`](Self::MAX) where there is none.
    pub(crate) fn covering_sectors(total: u64) -> Self {
        let mut candidates = (total..Self::MAX.total()).map(Self::of_sectors);
        candidates.find(|geometry| geometry.total() >= total).unwrap_or(Self::MAX)
    }

    /// The geometry of a disk of `size` bytes that says the size exactly; [`MAX`](Self::MAX) where there is none, for which
    /// programs that would take the geometry for the size take the size.
    pub(crate) fn exact(size: u64) -> Self {
        let geometry = Self::of_sectors(size / SECTOR_LEN);
        if geometry.size() == size { geometry } else { Self::MAX }
    }

    /// Sectors that it says the disk has.
    pub(crate) fn total(self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors)
    }

    /// Bytes that it says the disk has.
    pub(crate) fn size(self) -> u64 {
        self.total() * SECTOR_LEN
    }

    /// From the bytes of the field.
    pub(crate) fn parse([high, low, heads, sectors]: [u8; 4]) -> Self {
        Self { cylinders: u16::from_be_bytes([high, low]), heads, sectors }
    }

    /// The bytes of the field.
    pub(crate) fn to_bytes(self) -> [u8; 4] {
        let [high, low] = self.cylinders.to_be_bytes();
        [high, low, self.heads, self.sectors]
    }
}

/// Heads, and sectors of a track, of a disk below the large ones: the shortest tracks that leave fewer than 1024
/// cylinders, or the longest.
fn small_tracks(total: u64) -> (u64, u64) {
    let tracks = total / 17;
    let heads = tracks.div_ceil(1024).max(4);
    if heads <= 16 && tracks < heads * 1024 {
        return (heads, 17);
    }
    if total / 31 < 16 * 1024 { (16, 31) } else { (16, 63) }
}

/// Sectors from which on tracks are as long as can be.
const LARGE_FROM: u64 = 65_535 * 16 * 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn of_size(size: u64) -> (u16, u8, u8) {
        let geometry = Geometry::of_sectors(size / 512);
        (geometry.cylinders, geometry.heads, geometry.sectors)
    }

    #[test]
    fn disks_have_the_geometry_that_windows_and_virtual_box_give_them() {
        assert_eq!(of_size(4 << 20), (120, 4, 17));
        assert_eq!(of_size(40 << 20), (963, 5, 17));
        assert_eq!(of_size(96 << 20), (963, 12, 17));
        assert_eq!(of_size(1 << 30), (2080, 16, 63));
        assert_eq!(of_size(127 << 30), (65_278, 16, 255));
        assert_eq!(of_size(2040 << 30), (65_535, 16, 255));
        assert_eq!(of_size(0), (0, 4, 17));
    }

    #[test]
    fn a_covering_geometry_is_the_one_that_qemu_takes() {
        let size = |bytes: u64| Geometry::covering_sectors(bytes / 512).size();
        assert_eq!(size(1 << 20), 1_079_296);
        assert_eq!(size(1 << 30), 1_073_995_776);
        assert_eq!(size(10 << 30), (10 << 30) + (464 << 10));
        assert_eq!(size(127 << 30), (127 << 30) + (8 << 10));
        assert_eq!(Geometry::covering_sectors(1 << 40), Geometry::MAX);
        assert_eq!(size(0), 0);
    }

    #[test]
    fn the_field_is_cylinders_heads_sectors() {
        let geometry = Geometry { cylinders: 0x0102, heads: 3, sectors: 4 };
        assert_eq!(geometry.to_bytes(), [1, 2, 3, 4]);
        assert_eq!(Geometry::parse([1, 2, 3, 4]), geometry);
    }
}
