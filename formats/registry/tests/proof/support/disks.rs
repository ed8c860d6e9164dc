//! Guest disks: those of the conformance kit, and one that is like a real one.

use imgfmt::conformance::{Disk, Noise, disks};

/// The disks of the conformance kit.
pub(crate) fn small() -> Vec<Disk> {
    disks()
}

/// One disk of the kit: 5 MiB with data, text and zeros in runs that fit no unit.
pub(crate) fn runs() -> Disk {
    disks().into_iter().find(|disk| disk.name == "runs that fit no unit").expect("the kit has this disk")
}

/// About 20 MiB: runs of text, noise, zeros that only a look can find, and nothing, of a few bytes to 700 KiB. Even
/// compressed it fills several refcount blocks where clusters are small.
pub(crate) fn mixed() -> Disk {
    let size = (20 << 20) + 3 * 512;
    let mut noise = Noise(0x1234_5678_9abc_def1);
    let mut bytes = vec![0; size];
    let mut data = Vec::new();
    let mut at = 0;
    while at < size {
        let longest = if noise.below(3) == 0 { 9_000 } else { 700_000 };
        let len = usize::try_from(noise.below(longest)).expect("it is small").clamp(1, size - at);
        let part = &mut bytes[at..at + len];
        match noise.below(5) {
            0 => {}
            1 => data.push(at as u64..(at + len) as u64),
            2 => {
                noise.text(part);
                data.push(at as u64..(at + len) as u64);
            }
            _ => {
                noise.fill(part);
                data.push(at as u64..(at + len) as u64);
            }
        }
        at += len;
    }
    data.dedup_by(|next, last| {
        let touch = last.end == next.start;
        if touch {
            last.end = next.end;
        }
        touch
    });
    Disk { name: "mixed", bytes, data }
}
