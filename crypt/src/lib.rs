#![doc = include_str!("../README.md")]

mod afsplit;
mod cipher;
mod hash;
mod ivgen;
mod key;
mod layout;
mod luks;
mod named;
pub mod random;
mod read;
mod settings;
mod slot;
mod slot_change;
mod slots;
mod spec;
mod volume;

pub use cipher::{SectorCipher, sector_cipher};
pub use hash::Hash;
pub use layout::{HEADER_LEN, MAGIC, PAYLOAD_OFFSET_AT, SECTOR_LEN, VERSION, VERSION_AT};
pub use luks::LuksHeader;
pub use random::Random;
pub use read::read_sectors;
pub use settings::{CIPHER_ALG_VALUES, HASH_VALUES, LuksSettings, Work};
pub use slot::Slot;
pub use slot_change::SlotChange;
pub use slots::{KeySlots, SlotPlan};
pub use spec::{Cipher, CipherSpec, IvSpec, Mode};
pub use volume::Volume;
