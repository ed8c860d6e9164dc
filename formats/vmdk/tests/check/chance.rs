//! Damage by chance: whatever is changed, a check and a repair end, repair that is cut can be begun again, and a sector
//! reads as before or as it was before the damage.

use imgfmt_core::Repair;
use imgfmt_core::conformance::{Files, Noise, check_repair};

use crate::build::{Grain, Layout};
use crate::images::Made;

/// An extent of 10 grains in 5 tables.
fn extent(redundant: bool, unclean: bool) -> Vec<u8> {
    let grains = [Grain::Data(1), Grain::Absent, Grain::Data(2), Grain::Data(3), Grain::Data(4)].repeat(2);
    let mut bytes = Layout { gtes: 2, grains, redundant, ..Layout::default() }.build();
    bytes[72] = u8::from(unclean);
    bytes
}

/// The guest bytes, sector by sector; `None` where one cannot be read.
fn sectors(bytes: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    let mut files = Files::default();
    files.add("disk.vmdk", bytes.to_vec());
    let image = files.open(&imgfmt_vmdk::Vmdk, "disk.vmdk").ok()?;
    let read = |sector: u64| {
        let mut bytes = vec![0; 512];
        imgfmt_core::Image::read_at(&image, &mut bytes, sector * 512).ok().map(|()| bytes)
    };
    Some((0..imgfmt_core::Image::size(&image) / 512).map(read).collect())
}

#[test]
fn repair_of_anything_ends_and_loses_nothing() {
    let mut noise = Noise(0x5eed);
    for round in 0..ROUNDS {
        let mut bytes = extent(round % 4 != 0, round % 3 == 0);
        let first_grain = 3 * 512 + 12 * 512;
        for _ in 0..=noise.below(3) {
            // Directories and tables, as a rule by the value of another entry.
            let at = usize::try_from(noise.below(first_grain as u64 - 1536) + 1536).unwrap() / 4 * 4;
            match noise.below(3) {
                0 => bytes.copy_within(1536 + 4 * (round % 5)..1540 + 4 * (round % 5), at),
                1 => bytes[at..at + 4].fill(0),
                _ => bytes[at] ^= 1 << noise.below(6),
            }
        }
        let image = Made::of(vec![("disk.vmdk".to_owned(), bytes.clone())]);
        let edited = image.edited();
        check_repair(&edited, Repair::Leaks, round as u64 + 1);
        check_repair(&edited, Repair::All, round as u64 + 1);
        let mut files = Files::default();
        files.add("disk.vmdk", bytes.clone());
        let (findings, _) = edited.check(&files, Some(Repair::All)).unwrap();
        let medium = files.medium("disk.vmdk".as_ref()).unwrap();
        let mut mended = vec![0; usize::try_from(medium.len()).unwrap()];
        medium.read_at(&mut mended, 0).unwrap();
        // A grain where tables are reads as what is in the tables.
        let in_metadata = findings.kept().iter().any(|finding| finding.id == "vmdk-grain-in-metadata");
        let Some(before) = sectors(&bytes).filter(|_| !in_metadata) else { continue };
        let after = sectors(&mended).expect("what could be opened still can");
        let whole = sectors(&extent(true, false)).unwrap();
        for (number, (before, after)) in before.iter().zip(&after).enumerate() {
            let kept = after == before || *after == whole[number];
            assert!(kept || before.is_none(), "round {round}: sector {number} was lost: {:?}", findings.kept());
        }
    }
}

#[test]
fn bytes_by_chance_are_checked_without_panic() {
    let mut noise = Noise(0xbad);
    for round in 0..ROUNDS * 5 {
        let mut bytes = extent(round % 2 == 0, false);
        for _ in 0..=noise.below(4) {
            let at = usize::try_from(noise.below([512, 6000][round % 2])).unwrap();
            bytes[at] = u8::try_from(noise.below(256)).unwrap();
        }
        let image = Made::of(vec![("disk.vmdk".to_owned(), bytes)]);
        let edited = image.edited();
        let mut files = Files::default();
        edited.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
        let _ = edited.check(&files, None);
        let _ = edited.edit(&files, &mut |editor| editor.write_at(&[1; 5000], 700).map(|()| true));
        let _ = edited.check(&files, Some(Repair::All));
    }
}

/// Rounds of a test.
const ROUNDS: usize = 120;
