//! BLAKE3 on all threads: its tree is cut into groups of chunks that are hashed in any order.
//!
//! "BLAKE3: one function, fast everywhere", section 2.1: the left subtree of each parent is the largest that is a power of
//! two of chunks and leaves something for the right one. So groups of 1 MiB, a power of two of chunks, are subtrees, and
//! so is each pair of subtrees that are alike and touch. Only the last parent is the root.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::{HashAlgorithm, HashValue};
use crate::convert::Convert;
use crate::image::Image;
use crate::target::{MemoryTarget, Target};
use crate::writer::{ImageWriter, Order, Piece, Placed, Shape};
use crate::{Error, Result};

/// Hashes all of `image`.
///
/// # Errors
///
/// As [`Convert::run`].
pub(super) fn hash(image: &dyn Image, engine: &Convert<'_>) -> Result<HashValue> {
    let size = image.size();
    if size <= GROUP_LEN {
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        image.read_at(&mut bytes, 0)?;
        return Ok(value(blake3::hash(&bytes)));
    }
    let tree = Arc::new(Mutex::new(Tree::new(size)));
    let writer = TreeWriter { tree: Arc::clone(&tree), target: Arc::new(MemoryTarget::new()) };
    engine.run(image, Box::new(writer))?;
    let tree = Arc::into_inner(tree).ok_or_else(|| Error::malformed("a hash was not finished"))?;
    Ok(value(tree.into_inner().unwrap_or_else(PoisonError::into_inner).root()?))
}

/// A hash as a value.
fn value(hash: blake3::Hash) -> HashValue {
    HashValue { algorithm: HashAlgorithm::Blake3, bytes: hash.as_bytes().to_vec() }
}

/// The subtrees that are known.
struct Tree {
    /// Groups in all.
    groups: u64,
    /// The group that comes next in order.
    next: u64,
    /// Groups that were hashed before their turn.
    early: BTreeMap<u64, ChainingValue>,
    /// Subtrees from the left, each with its groups, which are a power of two and fewer than those of the one before.
    stack: Vec<(u64, ChainingValue)>,
}

impl Tree {
    /// A tree over `size` bytes of which nothing is known.
    fn new(size: u64) -> Self {
        Self { groups: size.div_ceil(GROUP_LEN), next: 0, early: BTreeMap::new(), stack: Vec::new() }
    }

    /// Adds the group with that number.
    fn add(&mut self, group: u64, subtree: ChainingValue) {
        self.early.insert(group, subtree);
        while let Some(subtree) = self.early.remove(&self.next) {
            self.next += 1;
            self.push(1, subtree);
        }
    }

    /// Adds a subtree on the right, and joins what is alike, but for the root.
    fn push(&mut self, mut groups: u64, mut subtree: ChainingValue) {
        while let Some((left_groups, left)) = self.stack.last().copied()
            && left_groups == groups
            && left_groups + groups < self.groups
        {
            self.stack.pop();
            subtree = merge_subtrees_non_root(&left, &subtree, Mode::Hash);
            groups += left_groups;
        }
        self.stack.push((groups, subtree));
    }

    /// The hash of everything.
    fn root(mut self) -> Result<blake3::Hash> {
        let missing = || Error::malformed("a hash was not finished");
        let (_, mut right) = self.stack.pop().filter(|_| self.next == self.groups).ok_or_else(missing)?;
        while let Some((_, left)) = self.stack.pop() {
            if self.stack.is_empty() {
                return Ok(merge_subtrees_root(&left, &right, Mode::Hash));
            }
            right = merge_subtrees_non_root(&left, &right, Mode::Hash);
        }
        Err(missing())
    }
}

/// Hashes what it is given, in any order.
struct TreeWriter {
    /// Where subtrees go.
    tree: Arc<Mutex<Tree>>,
    /// Nothing is written there.
    target: Arc<dyn Target>,
}

impl ImageWriter for TreeWriter {
    /// Zeros are work like all else: each group of them has a hash of its own.
    fn shape(&self) -> Shape {
        Shape {
            unit: GROUP_LEN,
            order: Order::Random,
            compression: None,
            pads_last: false,
            stores_plain: false,
            zeros_as_data: true,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        Ok(Placed { host: piece.guest, len: piece.len })
    }

    fn store(&self, piece: &Piece, _host: u64, bytes: &[u8]) -> Result<()> {
        for (index, part) in bytes.chunks(GROUP_BYTES).enumerate() {
            let start = piece.guest + (index * GROUP_BYTES) as u64;
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(start);
            hasher.update(part);
            let subtree = hasher.finalize_non_root();
            self.tree.lock().unwrap_or_else(PoisonError::into_inner).add(start / GROUP_LEN, subtree);
        }
        Ok(())
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(Error::unsupported("a disk is hashed whose size is known"))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Bytes of a group: 1024 chunks.
const GROUP_LEN: u64 = 1 << 20;
/// The same, in memory.
const GROUP_BYTES: usize = 1 << 20;
