//! The anti-forensic splitter: a key becomes many stripes, all of which are needed to get it back.
//!
//! LUKS1 specification, "AF splitter". A key that was overwritten in one place of many is gone.

use imgfmt_core::Result;
use zeroize::Zeroizing;

use crate::hash::Hash;
use crate::random::Random;

/// Puts the key of `key_len` bytes back together from its stripes, of which `material` has a whole number.
pub(crate) fn merge(hash: Hash, key_len: usize, material: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(vec![0; key_len]);
    let mut stripes = material.chunks_exact(key_len).peekable();
    while let Some(stripe) = stripes.next() {
        xor(&mut key, stripe);
        if stripes.peek().is_some() {
            diffuse(hash, &mut key);
        }
    }
    key
}

/// Splits `key` into `stripes` stripes, all but the last of which are random.
///
/// # Errors
///
/// As `random`.
pub(crate) fn split(hash: Hash, key: &[u8], stripes: usize, random: Random) -> Result<Zeroizing<Vec<u8>>> {
    let last_at = stripes.saturating_sub(1) * key.len();
    let mut material = Zeroizing::new(vec![0; last_at + key.len()]);
    random(&mut material[..last_at])?;
    let mut sum = Zeroizing::new(vec![0; key.len()]);
    for stripe in material[..last_at].chunks_exact(key.len()) {
        xor(&mut sum, stripe);
        diffuse(hash, &mut sum);
    }
    xor(&mut sum, key);
    material[last_at..].copy_from_slice(&sum);
    Ok(material)
}

/// Replaces `block` by hashes of its parts, each as long as a digest and with its number in front.
fn diffuse(hash: Hash, block: &mut [u8]) {
    let digest_len = hash.digest(&[]).len();
    for (number, part) in (0u32..).zip(block.chunks_mut(digest_len)) {
        let digest = hash.digest(&[&number.to_be_bytes(), part]);
        part.copy_from_slice(&digest[..part.len()]);
    }
}

/// Adds `other` to `sum`, bit by bit.
fn xor(sum: &mut [u8], other: &[u8]) {
    sum.iter_mut().zip(other).for_each(|(sum, other)| *sum ^= other);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::counting;

    #[test]
    fn what_is_split_merges_again_whatever_the_lengths() {
        for (hash, key_len) in [(Hash::Sha1, 16), (Hash::Sha1, 64), (Hash::Sha256, 32), (Hash::Sha512, 48)] {
            let key: Vec<u8> = (0..key_len).collect();
            let mut material = split(hash, &key, 9, counting).unwrap();
            assert_eq!(material.len(), 9 * key.len());
            assert_eq!(*merge(hash, key.len(), &material), key);
            material[3] ^= 1;
            assert_ne!(*merge(hash, key.len(), &material), key);
        }
    }
}
