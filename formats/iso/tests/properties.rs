//! Whole sectors show what belongs to the user, in whatever mode they are; damaged descriptors do no harm.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Noise, check_image, survive};
use imgfmt_core::{DenyAll, ErrorKind, Format, Head, Image, Limits, MemoryStorage, OpenContext, Result, Storage};
use imgfmt_iso::Iso;
use proptest::prelude::{Just, ProptestConfig, any, prop_oneof, proptest};

/// How a sector is burnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    One,
    TwoForm1,
    TwoForm2,
    Audio,
}

/// A volume of `sectors` sectors, with noise behind its descriptors.
fn volume(sectors: u32, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; sectors as usize * 2048];
    let (primary, end) = (16 * 2048, 17 * 2048);
    bytes[primary..primary + 7].copy_from_slice(b"\x01CD001\x01");
    bytes[primary + 80..primary + 84].copy_from_slice(&sectors.to_le_bytes());
    bytes[primary + 84..primary + 88].copy_from_slice(&sectors.to_be_bytes());
    bytes[primary + 128..primary + 130].copy_from_slice(&2048u16.to_le_bytes());
    bytes[end..end + 7].copy_from_slice(b"\xffCD001\x01");
    Noise(seed | 1).fill(&mut bytes[18 * 2048..]);
    bytes
}

/// A sector as it is burnt, with `sub` bytes of subchannels.
fn sector(user: &[u8], mode: Mode, sub: usize) -> Vec<u8> {
    let mut sector = vec![0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 2, 0];
    match mode {
        Mode::One => sector.push(1),
        Mode::TwoForm1 => sector.extend([2, 0, 0, 8, 0, 0, 0, 8, 0]),
        Mode::TwoForm2 => sector.extend([2, 0, 0, 0x28, 0, 0, 0, 0x28, 0]),
        Mode::Audio => sector[5] = 7,
    }
    sector.extend(user);
    sector.resize(2352 + sub, 0xee);
    sector
}

/// Opens a disc that nobody says is one.
fn open(bytes: Vec<u8>) -> Result<Box<dyn Image>> {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(bytes));
    assert!(Iso.probe(&Head::read(storage.as_ref())?)?.is_some(), "it is not claimed");
    let limits = Limits::default();
    Ok(Iso.open(storage, &OpenContext::new(&limits, &DenyAll))?.image)
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn whole_sectors_show_what_is_the_users(
        more in proptest::collection::vec(prop_oneof![Just(Mode::One), Just(Mode::TwoForm1)], 2..30),
        sub in prop_oneof![Just(0), Just(96)],
        seed in any::<u64>(),
    ) {
        let sectors = 18 + u32::try_from(more.len()).unwrap();
        let user = volume(sectors, seed);
        let modes = std::iter::repeat_n(more[0], 18).chain(more.iter().copied());
        let whole: Vec<u8> = user.chunks(2048).zip(modes).flat_map(|(user, mode)| sector(user, mode, sub)).collect();
        check_image(open(whole.clone()).unwrap().as_ref(), Some(&user), "whole sectors");
        // Neither a part of a sector nor a sector may be missing.
        for len in [whole.len() - 1, whole.len() - 2352 - sub] {
            assert_eq!(open(whole[..len].to_vec()).err().unwrap().kind(), ErrorKind::OutOfBounds);
        }
    }

    #[test]
    fn a_sector_without_data_is_an_error_for_those_who_read_it(
        bad in 19..40usize,
        mode in prop_oneof![Just(Mode::TwoForm2), Just(Mode::Audio)],
    ) {
        let user = volume(40, 7);
        let mode_of = |number| if number == bad { mode } else { Mode::One };
        let whole = user.chunks(2048).enumerate().flat_map(|(number, user)| sector(user, mode_of(number), 0)).collect();
        let disc = open(whole).unwrap();
        let mut buf = vec![0; 2048];
        for number in 0..40 {
            match disc.read_at(&mut buf, number as u64 * 2048) {
                Ok(()) => assert!(number != bad && buf == user[number * 2048..][..2048]),
                Err(error) => {
                    assert_eq!((number, error.kind()), (bad, ErrorKind::Unsupported));
                    assert_eq!(error.offset(), Some(bad as u64 * 2352));
                }
            }
        }
    }

    #[test]
    fn damage_does_no_harm(
        name in prop_oneof![Just("full.iso"), Just("high-sierra.iso"), Just("mode1.bin"), Just("udf-512.udf")],
        damage in proptest::collection::vec((any::<u32>(), any::<u8>()), 1..40),
        near in any::<bool>(),
    ) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/iso/valid").join(name);
        let mut bytes = std::fs::read(path).unwrap();
        let len = bytes.len();
        for (at, byte) in damage {
            // Most of a disc is data, and damage to it shows nothing.
            let at = if near { 32_768 + at as usize % 20_000 } else { at as usize };
            bytes[at % len] = byte;
        }
        survive(&Iso, &bytes);
    }
}

#[test]
fn a_volume_in_the_middle_of_a_disk_is_none() {
    let mut bytes = vec![0; 64 * 2048];
    bytes[20 * 2048 + 1..20 * 2048 + 6].copy_from_slice(b"CD001");
    bytes[16 * 2048 + 1..16 * 2048 + 6].copy_from_slice(b"BEA01");
    let storage = MemoryStorage::new(bytes);
    assert_eq!(Iso.probe(&Head::read(&storage).unwrap()).unwrap(), None, "nothing announces a file system");
}

/// The configuration of properties that `cases` cases are enough for; `PROPTEST_CASES` asks for more.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..default }
}
