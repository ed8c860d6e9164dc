//! A medium that fails, as a full one does, loses nothing of what was there.

use imgfmt_core::conformance::{Step, check_faults};
use imgfmt_core::{Erase, Preallocation};

use crate::images::{MIB, alone, edited, small_layers};

/// Checks `steps` with each of their operations failing.
fn check(files: &[(String, Vec<u8>)], steps: &[Step]) {
    check_faults(&edited(files, 512), steps);
}

#[test]
fn blocks_that_come_and_go_lose_nothing() {
    let files = alone("block_size=1M", 2 * MIB - 512, &[(0..MIB, 0x44)]);
    check(&files, &[Step::Write(MIB - 5, 1000, 1), Step::Flush, Step::Erase(0, MIB, Erase::Zero)]);
}

#[test]
fn other_sizes_lose_nothing() {
    let files = alone("block_size=1M", 2 * MIB - 512, &[(0..MIB, 0x44)]);
    check(&files, &[Step::Resize(3 * MIB, Preallocation::Full), Step::Write(3 * MIB / 2, 512, 3)]);
    check(&files, &[Step::Resize(MIB / 2, Preallocation::Off), Step::Write(512, 512, 3)]);
}

#[test]
fn layers_lose_nothing() {
    check(&small_layers("block_size=1M"), &[Step::Write(MIB, 512, 1), Step::Write(0, 512, 2)]);
}
