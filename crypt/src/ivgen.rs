//! Initial vectors: each sector has its own, made from its number.

/// Makes the initial vectors of a disk.
pub(crate) enum IvGenerator {
    /// None: all zeros.
    Zero,
    /// The lower 32 bits of the number.
    Plain,
    /// The number.
    Plain64,
    /// The number, encrypted as one block.
    Essiv(Box<dyn EncryptBlock>),
}

/// A cipher with its key, for single blocks.
pub(crate) trait EncryptBlock: Send + Sync {
    /// Encrypts `block`, which is as long as a block of the cipher.
    fn encrypt_one(&self, block: &mut [u8]);
}

impl IvGenerator {
    /// Fills `iv`, which is as long as a block of the cipher, for sector number `sector`.
    pub(crate) fn fill(&self, sector: u64, iv: &mut [u8]) {
        let number = match self {
            Self::Zero => 0,
            Self::Plain => sector & u64::from(u32::MAX),
            Self::Plain64 | Self::Essiv(_) => sector,
        };
        iv.fill(0);
        iv.iter_mut().zip(number.to_le_bytes()).for_each(|(iv, byte)| *iv = byte);
        if let Self::Essiv(cipher) = self {
            cipher.encrypt_one(iv);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_vector_is_the_number_of_its_sector() {
        let of = |generator: &IvGenerator, sector| {
            let mut iv = [0xff; 10];
            generator.fill(sector, &mut iv);
            iv
        };
        assert_eq!(of(&IvGenerator::Plain64, 0x1_0000_0203), [3, 2, 0, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(of(&IvGenerator::Plain, 0x1_0000_0203), [3, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(of(&IvGenerator::Zero, 7), [0; 10]);
    }
}
