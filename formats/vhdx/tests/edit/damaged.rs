//! An image that is damaged is not changed.

use std::sync::Arc;

use imgfmt_core::{DenyAll, ErrorKind, Format, Limits, MemoryMedium, OpenContext};
use imgfmt_vhdx::Vhdx;

use crate::images::{MIB, image};

#[test]
fn blocks_that_overlap_are_not_written_to() {
    let bytes = image("block_size=1M", 3 * MIB, None, &[(0..2 * MIB, 1)]);
    // The table follows headers, log and metadata.
    let entry = |index: usize| &bytes[3 * MIB as usize + 8 * index..][..8];
    for (index, wrong) in [(2, entry(1).to_vec()), (1, ((99 * MIB) | 6).to_le_bytes().to_vec()), (2, vec![4, 0, 0, 0])]
    {
        let mut damaged = bytes.clone();
        damaged[3 * MIB as usize + 8 * index..][..wrong.len()].copy_from_slice(&wrong);
        let medium = Arc::new(MemoryMedium::new(&damaged));
        let limits = Limits::default();
        let edit = Vhdx.abilities().edit.unwrap();
        let error = edit.edit(Arc::clone(&medium) as _, &OpenContext::new(&limits, &DenyAll)).err().unwrap();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Malformed, Some(3 * MIB + 8 * index as u64)));
        assert!(medium.to_vec() == damaged);
    }
}
