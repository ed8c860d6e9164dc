//! UDF: the volume descriptors of ECMA-167.
//!
//! An anchor in block 256 says where the descriptors are, one in each block. All numbers have their little end first.
//!
//! | Offset | Size | Descriptor tag (ECMA-167 3/7.2) |
//! |-------:|-----:|---|
//! | 0 | 2 | Tag Identifier: 1 primary, 2 anchor, 5 partition, 6 logical volume, 8 terminator |
//! | 4 | 1 | Tag Checksum: sum of the other 15 bytes |
//! | 8 | 2 | Descriptor CRC |
//! | 10 | 2 | Descriptor CRC Length |
//! | 12 | 4 | Tag Location: the block |
//!
//! | Descriptor | Fields |
//! |---|---|
//! | anchor (3/10.2) | 16: length of the descriptors; 20: their first block |
//! | primary (3/10.1) | 24: Volume Identifier (32); 344: Application Identifier; 388: Implementation Identifier |
//! | partition (3/10.5) | 188: Partition Starting Location; 192: Partition Length |
//! | logical volume (3/10.6) | 84: Logical Volume Identifier (128); 212: Logical Block Size; 216: Domain Identifier |
//!
//! An identifier is a flag, 23 characters and 8 bytes of suffix; that of the domain starts with the revision of UDF (2.1.5.3).

use crate::bytes::{ascii, dstring, le16, le32, part};
use crate::disc::Disc;

/// What the descriptors of a UDF volume say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Udf {
    /// Bytes of a block.
    pub(crate) block_size: u64,
    /// The name of the volume.
    pub(crate) volume: String,
    /// The name of the logical volume, which is what shows.
    pub(crate) logical_volume: String,
    /// The revision of UDF, in binary coded decimals: 0x0201 is 2.01.
    pub(crate) revision: Option<u16>,
    /// The program that made it.
    pub(crate) implementation: String,
    /// Its partitions.
    pub(crate) partitions: Vec<Partition>,
}

/// A partition of a UDF volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// The block of its descriptor.
    pub(crate) descriptor: u64,
    /// Its first block.
    pub(crate) start: u32,
    /// Its blocks.
    pub(crate) blocks: u32,
}

impl Partition {
    /// The block behind its last.
    fn end(self) -> u64 {
        u64::from(self.start) + u64::from(self.blocks)
    }
}

impl Udf {
    /// Reads the descriptors, if an anchor can be found.
    pub(crate) fn read(disc: &Disc) -> Option<Self> {
        let (block_size, anchor) = BLOCK_SIZES.into_iter().find_map(|block_size| {
            let anchor = Self::block(disc, block_size, ANCHOR_BLOCK)?;
            (le16(&anchor, 0) == ANCHOR).then_some((block_size, anchor))
        })?;
        let mut udf = Self { block_size, ..Self::default() };
        let (len, first) = (u64::from(le32(&anchor, 16)), u64::from(le32(&anchor, 20)));
        for index in 0..(len / block_size).min(MAX_DESCRIPTORS) {
            let Some(block) = Self::block(disc, block_size, first + index) else { break };
            if le16(&block, 0) == TERMINATOR {
                break;
            }
            udf.take(&block, first + index);
        }
        Some(udf)
    }

    /// Bytes up to which the partitions go, and the byte at which the descriptor of the last says so.
    pub(crate) fn len(&self) -> (u64, u64) {
        let last = self.partitions.iter().max_by_key(|partition| partition.end());
        let (end, descriptor) = last.map_or((0, 0), |last| (last.end(), last.descriptor));
        (end.saturating_mul(self.block_size), descriptor.saturating_mul(self.block_size))
    }

    /// The descriptor in a block, if its tag is right.
    fn block(disc: &Disc, block_size: u64, number: u64) -> Option<[u8; DESCRIPTOR_LEN]> {
        let bytes = disc.read_array(number.checked_mul(block_size)?).ok()?;
        is_tagged(&bytes, number).then_some(bytes)
    }

    /// Takes note of the descriptor in block `number`.
    fn take(&mut self, block: &[u8; DESCRIPTOR_LEN], number: u64) {
        match le16(block, 0) {
            PRIMARY => {
                self.volume = dstring(part(block, (24, 32)));
                self.implementation = ascii(part(block, (389, 23)));
            }
            PARTITION if self.partitions.len() < MAX_PARTITIONS => {
                let (start, blocks) = (le32(block, 188), le32(block, 192));
                self.partitions.push(Partition { descriptor: number, start, blocks });
            }
            LOGICAL_VOLUME => {
                self.logical_volume = dstring(part(block, (84, 128)));
                let domain = ascii(part(block, (217, 23)));
                self.revision = Some(le16(block, 240)).filter(|_| domain == UDF_DOMAIN);
            }
            _ => {}
        }
    }
}

/// Whether a block has the tag of a descriptor in that block.
fn is_tagged(block: &[u8; DESCRIPTOR_LEN], number: u64) -> bool {
    let sum =
        block[..16].iter().enumerate().filter(|&(at, _)| at != 4).fold(0u8, |sum, (_, &byte)| sum.wrapping_add(byte));
    let crc_len = usize::from(le16(block, 10));
    let body = block.get(16..16 + crc_len);
    le16(block, 0) != 0
        && sum == block[4]
        && u64::from(le32(block, 12)) == number
        && body.is_some_and(|body| crc(body) == le16(block, 8))
}

/// The CRC of ECMA-167, 1/7.2.6: x^16 + x^12 + x^5 + 1.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

/// Tag identifier of a primary volume descriptor.
const PRIMARY: u16 = 1;
/// Tag identifier of an anchor.
const ANCHOR: u16 = 2;
/// Tag identifier of a partition descriptor.
const PARTITION: u16 = 5;
/// Tag identifier of a logical volume descriptor.
const LOGICAL_VOLUME: u16 = 6;
/// Tag identifier of the end.
const TERMINATOR: u16 = 8;
/// The block of the first anchor. UDF 2.2.3.
const ANCHOR_BLOCK: u64 = 256;
/// The domain of UDF. UDF 2.1.5.2.
const UDF_DOMAIN: &str = "*OSTA UDF Compliant";
/// Blocks that UDF has, the most frequent first.
const BLOCK_SIZES: [u64; 4] = [2048, 512, 4096, 1024];
/// Bytes of a descriptor that are looked at: all descriptors here fit into the smallest block.
const DESCRIPTOR_LEN: usize = 512;
/// Descriptors that are looked at.
const MAX_DESCRIPTORS: u64 = 64;
/// Partitions that are looked at; UDF has two at most.
const MAX_PARTITIONS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_that_of_the_standard() {
        assert_eq!(crc(&[0x70, 0x6a, 0x77]), 0x3299);
    }
}
