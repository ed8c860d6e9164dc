//! What is to be said about an image, and the verb that measures the rest.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::Result;
use crate::extent::ExtentKind;
use crate::image::{Image, ImageExt};

/// What an image says of itself, gathered when it was opened.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// The format's name.
    pub format: &'static str,
    /// Which kind of the format, such as `streamOptimized`.
    pub subformat: Option<String>,
    /// Bytes of the unit in which the format allocates, where it has one for the whole image.
    pub cluster_size: Option<u64>,
    /// Whether the format as such stores compressed units, as a stream-optimised VMDK does.
    pub compressed: bool,
    /// Whether the guest bytes are encrypted.
    pub encrypted: bool,
    /// Whether the image was not closed in an orderly way.
    pub dirty: bool,
    /// The file that the image builds on, as the image names it.
    pub parent: Option<ParentName>,
    /// By what children can know the image again.
    pub identities: Vec<Identity>,
    /// Features in use, in the specification's spelling.
    pub features: Vec<String>,
    /// The program that made the image, where it left its name.
    pub creator: Option<String>,
    /// What else the format knows, under the names that QEMU uses where it has one.
    pub specific: Map<String, Value>,
    /// What the format knows and QEMU does not show.
    pub details: Map<String, Value>,
}

/// Something by which an image can be known again, whatever its file is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Which of the format's identifiers it is, in the specification's spelling.
    pub kind: &'static str,
    /// Its value, as text in one spelling.
    pub value: String,
}

/// How an image names the file that it builds on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParentName {
    /// The name as it is stored; a name, never a protocol.
    pub name: PathBuf,
    /// The format that the image says the file has.
    pub format: Option<String>,
}

/// Guest bytes by kind, each byte counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteCounts {
    /// Stored as they are.
    pub data: u64,
    /// Stored compressed.
    pub compressed: u64,
    /// Bytes that the compressed ones take on the host at most.
    pub compressed_stored: u64,
    /// Said to be zero by an entry of their own.
    pub zero: u64,
    /// Not stored anywhere, and read as zero.
    pub absent: u64,
    /// In the parent.
    pub parent: u64,
    /// Only readable through the format.
    pub opaque: u64,
}

impl ByteCounts {
    /// Walks the map of `image` and counts. Reads tables, never guest data.
    ///
    /// # Errors
    ///
    /// As [`Image::map`].
    pub fn of<I: Image + ?Sized>(image: &I) -> Result<Self> {
        let mut counts = Self::default();
        image.visit_extents(0..image.size(), &mut |extent| {
            match extent.kind {
                ExtentKind::Data { .. } => counts.data += extent.len,
                ExtentKind::Encoded(unit) => {
                    counts.compressed += extent.len;
                    if unit.skip == 0 {
                        counts.compressed_stored += u64::from(unit.stored_len);
                    }
                }
                ExtentKind::Zero { explicit: true } => counts.zero += extent.len,
                ExtentKind::Zero { explicit: false } => counts.absent += extent.len,
                ExtentKind::Parent => counts.parent += extent.len,
                ExtentKind::Opaque => counts.opaque += extent.len,
            }
            Ok(())
        })?;
        Ok(counts)
    }

    /// Guest bytes that are stored in some form.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.data + self.compressed + self.opaque
    }
}
