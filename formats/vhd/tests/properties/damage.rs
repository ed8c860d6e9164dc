//! Damage does no harm, and shows as an error or as nothing that matters.

use imgfmt_core::conformance::survive;
use imgfmt_core::{DenyAll, Format, Limits, OpenContext, Streamed};
use imgfmt_vhd::Vhd;
use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use proptest::sample::Index;

use crate::build::layouts;
use crate::config;

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn no_damage_does_harm(layout in layouts(), damage in vec((any::<Index>(), any::<u8>(), any::<bool>()), 1..8)) {
        let (mut file, _) = layout.build([5; 16], &[]);
        // Most of a file is guest bytes, in which damage shows nothing.
        let metadata = file.len().min(4096);
        for (at, byte, anywhere) in damage {
            let at = if anywhere { at.index(file.len()) } else { at.index(metadata) };
            file[at] = byte;
            fix_sums(&mut file);
        }
        survive(&Vhd, &file);
        let limits = Limits::default();
        if let Ok(Streamed::OnePass(mut stream)) =
            Vhd.stream(Box::new(std::io::Cursor::new(file)), &OpenContext::new(&limits, &DenyAll))
        {
            let mut bytes = Vec::new();
            while let Ok(Some(_)) = stream.next_part(&mut bytes, 4096) {
                bytes.clear();
            }
        }
    }
}

/// Makes checksums right again, so that what they cover is looked at.
fn fix_sums(file: &mut [u8]) {
    let end = file.len().saturating_sub(512);
    let header = (512..file.len()).step_by(512).find(|&at| file[at..].starts_with(b"cxsparse"));
    let places = [(0, 512, 64), (end, 512, 64)].into_iter().chain(header.map(|at| (at, 1024, 36)));
    for (at, len, sum_at) in places {
        let Some(bytes) = file.get_mut(at..at + len) else { continue };
        bytes[sum_at..sum_at + 4].fill(0);
        let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
        bytes[sum_at..sum_at + 4].copy_from_slice(&(!sum).to_be_bytes());
    }
}
