//! The content identity, which changes with the first byte that does.

use std::hash::{BuildHasher, Hasher, RandomState};

use imgfmt_core::Result;

use super::state::State;
use crate::descriptor::Patch;
use crate::layout::SECTOR_LEN;

impl State {
    /// Gives the disk a new `CID`, as long as the old one, unless it has one already. Children that were made before know
    /// by it that it is not the disk that they build on any more.
    pub(super) fn renew_cid(&mut self) -> Result<()> {
        if self.renewed {
            return Ok(());
        }
        if let Some(text) = &mut self.text
            && let Some(range) = text.text.value("CID")
        {
            let mut range = range;
            // Digits that go on in the next sector are left out, or those before it: whichever are fewer.
            let border = (range.start / SECTOR + 1) * SECTOR;
            if range.end > border {
                let keep_front = border - range.start >= range.end - border;
                range = if keep_front { range.start..border } else { border..range.end };
            }
            let old = text.text.bytes[range.clone()].to_vec();
            let bytes = another(&old);
            text.write(&Patch { at: range.start, bytes })?;
        }
        self.renewed = true;
        Ok(())
    }
}

/// Hexadecimal digits by chance, as many as `old` has and others, the first of them not `f`: that would be what stands for
/// no parent.
fn another(old: &[u8]) -> Vec<u8> {
    let mut seed = RandomState::new().build_hasher().finish();
    loop {
        let digits = format!("{seed:016x}").into_bytes();
        let mut new: Vec<u8> = digits.iter().copied().cycle().take(old.len()).collect();
        if let Some(first) = new.first_mut().filter(|first| **first == b'f') {
            *first = b'0';
        }
        if !new.eq_ignore_ascii_case(old) || old.is_empty() {
            return new;
        }
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
    }
}

/// Bytes of a sector.
const SECTOR: usize = SECTOR_LEN as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_identity_is_as_long_and_another() {
        for old in ["fffffffe", "00000000", "1", ""] {
            for _ in 0..50 {
                let new = String::from_utf8(another(old.as_bytes())).unwrap();
                assert_eq!(new.len(), old.len());
                assert!(new != old || old.is_empty());
                assert!(old.is_empty() || u32::from_str_radix(&new, 16).unwrap() != u32::MAX);
            }
        }
    }
}
