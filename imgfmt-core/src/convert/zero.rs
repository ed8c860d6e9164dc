//! Is it all zero?

/// Whether every byte of `bytes` is zero.
///
/// Folds whole blocks, which the compiler turns into wide instructions, and stops at the first block
/// that is not zero.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<BLOCK_LEN>();
    blocks.iter().all(|block| block.iter().fold(0, |seen, byte| seen | byte) == 0) && rest.iter().all(|&byte| byte == 0)
}

/// Bytes looked at before each decision.
const BLOCK_LEN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_is_found() {
        for len in [0, 1, 255, 256, 257, 5000] {
            let mut bytes = vec![0; len];
            assert!(is_zero(&bytes), "{len}");
            for at in 0..len {
                bytes[at] = 0x80;
                assert!(!is_zero(&bytes), "{at} of {len}");
                bytes[at] = 0;
            }
        }
    }
}
