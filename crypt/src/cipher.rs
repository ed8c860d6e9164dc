//! Whole sectors, encrypted and decrypted in place.
//!
//! Blocks go to the cipher many at a time wherever the mode allows it, which is what makes the processor's AES
//! instructions fast.

use cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use imgfmt_core::{Error, Result};

use crate::hash::Hash;
use crate::ivgen::{EncryptBlock, IvGenerator};
use crate::layout::SECTOR_LEN;
use crate::spec::{Cipher, CipherSpec, IvSpec, Mode};

/// Encrypts and decrypts sectors, with one key.
pub trait SectorCipher: Send + Sync {
    /// Encrypts `sectors`, whole ones, of which the first has number `first`.
    fn encrypt(&self, sectors: &mut [u8], first: u64);

    /// Decrypts `sectors`, whole ones, of which the first has number `first`.
    fn decrypt(&self, sectors: &mut [u8], first: u64);
}

/// The cipher of `spec` with `key`.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where the cipher does not take such a key.
pub fn sector_cipher(spec: &CipherSpec, key: &[u8]) -> Result<Box<dyn SectorCipher>> {
    match (spec.cipher, spec.cipher_key_len) {
        (Cipher::Aes, 16) => sectors::<aes::Aes128>(spec, key),
        (Cipher::Aes, 24) => sectors::<aes::Aes192>(spec, key),
        (Cipher::Aes, _) => sectors::<aes::Aes256>(spec, key),
        (Cipher::Serpent, _) => sectors::<serpent::Serpent>(spec, key),
        (Cipher::Twofish, _) => sectors::<twofish::Twofish>(spec, key),
        (Cipher::Cast5, _) => sectors::<cast5::Cast5>(spec, key),
    }
}

/// What every block cipher can do here.
trait Blocks: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + Send + Sync + 'static {}

impl<C: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + Send + Sync + 'static> Blocks for C {}

/// The sectors of a disk, with the block cipher `C`.
struct Sectors<C> {
    /// How blocks are put together.
    mode: Mode,
    /// The cipher with its key.
    data: C,
    /// The cipher with the second key of XTS; the first key again elsewhere.
    tweak: C,
    /// Makes the initial vectors.
    iv: IvGenerator,
}

/// The cipher `C` with `key`, as `spec` says.
fn sectors<C: Blocks>(spec: &CipherSpec, key: &[u8]) -> Result<Box<dyn SectorCipher>> {
    let (data, tweak) = if spec.mode == Mode::Xts { key.split_at(key.len() / 2) } else { (key, key) };
    let iv = match spec.iv {
        _ if spec.mode == Mode::Ecb => IvGenerator::Zero,
        IvSpec::Plain => IvGenerator::Plain,
        IvSpec::Plain64 => IvGenerator::Plain64,
        IvSpec::Essiv(hash) => IvGenerator::Essiv(essiv(spec.cipher, hash, key)?),
    };
    Ok(Box::new(Sectors::<C> { mode: spec.mode, data: keyed(data)?, tweak: keyed(tweak)?, iv }))
}

/// The cipher that encrypts sector numbers: of the same kind, and keyed with the hash of the whole key.
fn essiv(cipher: Cipher, hash: Hash, key: &[u8]) -> Result<Box<dyn EncryptBlock>> {
    let key = zeroize::Zeroizing::new(hash.digest(&[key]));
    Ok(match (cipher, key.len()) {
        (Cipher::Aes, 16) => Box::new(Single(keyed::<aes::Aes128>(&key)?)),
        (Cipher::Aes, 24) => Box::new(Single(keyed::<aes::Aes192>(&key)?)),
        (Cipher::Aes, _) => Box::new(Single(keyed::<aes::Aes256>(&key)?)),
        (Cipher::Serpent, _) => Box::new(Single(keyed::<serpent::Serpent>(&key)?)),
        (Cipher::Twofish, _) => Box::new(Single(keyed::<twofish::Twofish>(&key)?)),
        (Cipher::Cast5, _) => Box::new(Single(keyed::<cast5::Cast5>(&key)?)),
    })
}

/// The cipher `C` with `key`.
fn keyed<C: KeyInit>(key: &[u8]) -> Result<C> {
    C::new_from_slice(key).map_err(|_| Error::malformed(format!("the cipher takes no key of {} bytes", key.len())))
}

/// A cipher for single blocks.
struct Single<C>(C);

impl<C: Blocks> EncryptBlock for Single<C> {
    fn encrypt_one(&self, block: &mut [u8]) {
        blocks_of::<C>(block).iter_mut().for_each(|block| self.0.encrypt_block(block));
    }
}

impl<C: Blocks> SectorCipher for Sectors<C> {
    fn encrypt(&self, sectors: &mut [u8], first: u64) {
        self.each_group(sectors, first, |group, ivs| match self.mode {
            Mode::Ecb => self.data.encrypt_blocks(blocks_of::<C>(group)),
            Mode::Cbc => self.cbc_encrypt(group, ivs),
            Mode::Ctr => each_sector::<C>(group, ivs, |sector, iv| self.ctr(sector, iv)),
            Mode::Xts => {
                each_sector::<C>(group, ivs, |sector, iv| xts(sector, iv, |blocks| self.data.encrypt_blocks(blocks)))
            }
        });
    }

    fn decrypt(&self, sectors: &mut [u8], first: u64) {
        self.each_group(sectors, first, |group, ivs| match self.mode {
            Mode::Ecb => self.data.decrypt_blocks(blocks_of::<C>(group)),
            Mode::Cbc => each_sector::<C>(group, ivs, |sector, iv| self.cbc_decrypt(sector, iv)),
            Mode::Ctr => each_sector::<C>(group, ivs, |sector, iv| self.ctr(sector, iv)),
            Mode::Xts => {
                each_sector::<C>(group, ivs, |sector, iv| xts(sector, iv, |blocks| self.data.decrypt_blocks(blocks)))
            }
        });
    }
}

impl<C: Blocks> Sectors<C> {
    /// Calls `work` with a few sectors at a time and their initial vectors, which for XTS are the encrypted ones.
    fn each_group(&self, sectors: &mut [u8], first: u64, work: impl Fn(&mut [u8], [Block<C>; AT_ONCE])) {
        let groups = sectors.chunks_mut(AT_ONCE * SECTOR_LEN);
        for (first, group) in (first..).step_by(AT_ONCE).zip(groups) {
            let mut ivs = no_blocks::<C, AT_ONCE>();
            for (sector, iv) in (first..).zip(&mut ivs) {
                self.iv.fill(sector, iv);
            }
            if self.mode == Mode::Xts {
                self.tweak.encrypt_blocks(&mut ivs);
            }
            work(group, ivs);
        }
    }

    /// Encrypts sectors in CBC: within one, each block waits for the one before, so all sectors go side by side.
    fn cbc_encrypt(&self, group: &mut [u8], ivs: [Block<C>; AT_ONCE]) {
        let mut before = ivs;
        let block_len = before[0].len();
        for at in (0..SECTOR_LEN).step_by(block_len) {
            let sectors = group.chunks_exact(SECTOR_LEN);
            sectors.zip(&mut before).for_each(|(sector, before)| xor(before, &sector[at..at + block_len]));
            self.data.encrypt_blocks(&mut before);
            let sectors = group.chunks_exact_mut(SECTOR_LEN);
            sectors.zip(&before).for_each(|(sector, before)| sector[at..at + block_len].copy_from_slice(before));
        }
    }

    /// Decrypts a sector in CBC.
    fn cbc_decrypt(&self, sector: &mut [Block<C>], iv: Block<C>) {
        let mut stored = no_blocks::<C, MOST_BLOCKS>();
        stored.iter_mut().zip(&*sector).for_each(|(stored, block)| stored.clone_from(block));
        self.data.decrypt_blocks(sector);
        let before = std::iter::once(&iv).chain(&stored);
        sector.iter_mut().zip(before).for_each(|(block, before)| xor(block, before));
    }

    /// Encrypts or decrypts a sector in CTR: the counter starts at the initial vector and is big-endian.
    fn ctr(&self, sector: &mut [Block<C>], iv: Block<C>) {
        let mut stream = no_blocks::<C, MOST_BLOCKS>();
        let mut counter = iv;
        for block in &mut stream[..sector.len()] {
            block.clone_from(&counter);
            increment(&mut counter);
        }
        self.data.encrypt_blocks(&mut stream[..sector.len()]);
        sector.iter_mut().zip(&stream).for_each(|(block, stream)| xor(block, stream));
    }
}

/// Calls `work` with the blocks of each sector of `group`, and with its initial vector.
fn each_sector<C: Blocks>(group: &mut [u8], ivs: [Block<C>; AT_ONCE], work: impl Fn(&mut [Block<C>], Block<C>)) {
    for (sector, iv) in group.chunks_exact_mut(SECTOR_LEN).zip(ivs) {
        work(blocks_of::<C>(sector), iv);
    }
}

/// Runs a sector through XTS, whose tweak for the first block is `tweak`; each next one is twice the one before, in
/// the field that IEEE 1619 defines.
fn xts<B: AsRef<[u8]> + AsMut<[u8]>>(sector: &mut [B], tweak: B, cipher: impl Fn(&mut [B])) {
    let mut next = tweak.as_ref().first_chunk().map_or(0, |tweak| u128::from_le_bytes(*tweak));
    let mut tweaks = [0; XTS_BLOCKS];
    for tweak in &mut tweaks {
        *tweak = next;
        next = (next << 1) ^ if next >> 127 == 1 { XTS_POLYNOMIAL } else { 0 };
    }
    let mask = |(block, tweak): (&mut B, &u128)| {
        if let Some(block) = block.as_mut().first_chunk_mut() {
            *block = (u128::from_le_bytes(*block) ^ tweak).to_le_bytes();
        }
    };
    sector.iter_mut().zip(&tweaks).for_each(mask);
    cipher(sector);
    sector.iter_mut().zip(&tweaks).for_each(mask);
}

/// Adds 1 to a big-endian number.
fn increment(counter: &mut [u8]) {
    for byte in counter.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
}

/// Blocks of zeros.
fn no_blocks<C: Blocks, const COUNT: usize>() -> [Block<C>; COUNT] {
    std::array::from_fn(|_| Block::<C>::default())
}

/// The blocks of `bytes`, which are whole ones.
fn blocks_of<C: Blocks>(bytes: &mut [u8]) -> &mut [Block<C>] {
    Block::<C>::slice_as_chunks_mut(bytes).0
}

/// Adds `other` to `block`, bit by bit.
fn xor(block: &mut [u8], other: &[u8]) {
    block.iter_mut().zip(other).for_each(|(block, other)| *block ^= other);
}

/// Sectors whose initial vectors are made together.
const AT_ONCE: usize = 8;
/// Blocks of 16 bytes in a sector.
const XTS_BLOCKS: usize = SECTOR_LEN / 16;
/// Most blocks in a sector: those of 8 bytes.
const MOST_BLOCKS: usize = SECTOR_LEN / 8;
/// What a carry out of the highest bit becomes: x^7 + x^2 + x + 1.
const XTS_POLYNOMIAL: u128 = 0x87;

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher(name: &str, mode: &str, key: &[u8]) -> Box<dyn SectorCipher> {
        sector_cipher(&CipherSpec::parse(name, mode, key.len()).unwrap(), key).unwrap()
    }

    #[test]
    fn every_cipher_and_mode_decrypts_what_it_encrypts() {
        let key: Vec<u8> = (0..64).collect();
        let plain: Vec<u8> = (0..19 * SECTOR_LEN).map(|index| (index / 7) as u8).collect();
        for (name, lens) in [("aes", &[16, 24, 32][..]), ("serpent", &[16, 32]), ("twofish", &[24]), ("cast5", &[16])] {
            for mode in ["ecb", "cbc-plain", "ctr-plain64", "xts-plain64", "cbc-essiv:sha256"] {
                for &len in lens {
                    if name == "cast5" && (mode.contains("essiv") || mode.starts_with("xts")) {
                        continue;
                    }
                    let len = if mode.starts_with("xts") { 2 * len } else { len };
                    let cipher = cipher(name, mode, &key[..len]);
                    let mut bytes = plain.clone();
                    cipher.encrypt(&mut bytes, 1 << 33);
                    assert_ne!(bytes, plain);
                    // Any part decrypts by itself.
                    cipher.decrypt(&mut bytes[3 * SECTOR_LEN..], (1 << 33) + 3);
                    cipher.decrypt(&mut bytes[..3 * SECTOR_LEN], 1 << 33);
                    assert_eq!(bytes, plain, "{name} {mode}");
                }
            }
        }
    }

    /// IEEE 1619, annex B, vector 4: a whole sector, number 0.
    #[test]
    fn xts_gives_what_the_standard_says() {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&0x2718_2818_2845_9045_2353_6028_7471_3526_u128.to_be_bytes());
        key[16..].copy_from_slice(&0x3141_5926_5358_9793_2384_6264_3383_2795_u128.to_be_bytes());
        let mut sector: Vec<u8> = (0..SECTOR_LEN).map(|index| index as u8).collect();
        cipher("aes", "xts-plain64", &key).encrypt(&mut sector, 0);
        assert_eq!(sector[..16], 0x27a7_479b_efa1_d476_489f_308c_d4cf_a6e2_u128.to_be_bytes());
    }
}
