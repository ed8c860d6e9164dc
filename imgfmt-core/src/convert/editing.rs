//! A conversion into an image that exists: what is written goes through its editor.

use std::sync::Arc;

use crate::codec::{Compression, Decoder};
use crate::editor::{Erase, ImageEditor, NO_COMPRESSION};
use crate::target::{MemoryTarget, Target};
use crate::writer::{Form, ImageWriter, Order, Piece, Placed, Shape};
use crate::{Error, Result};

/// Writes to the disk of an image, from its first byte on; what lies behind the end of what is written stays. Dropped before it is
/// finished, it closes the image in an orderly way all the same: it is there, and whole, with some of its disk overwritten.
pub struct EditingWriter<'e> {
    /// The image, until it is closed.
    editor: Option<Box<dyn ImageEditor + 'e>>,
    /// Guest bytes that are placed as one.
    unit: u64,
    /// How units are compressed, where they are.
    compression: Option<Compression>,
    /// Guest bytes of the whole disk, which may be more than are written.
    size: u64,
    /// Whether the disk reads as zeros already.
    is_zero: bool,
    /// Nothing is written past the editor.
    target: Arc<dyn Target>,
}

impl<'e> EditingWriter<'e> {
    /// A writer of a disk of `size` bytes into the image of `editor`, which reads as zeros where `is_zero`.
    ///
    /// # Errors
    ///
    /// As [`ImageEditor::image`]; [`Invalid`](crate::ErrorKind::Invalid) where the image's disk is smaller.
    pub fn new(editor: Box<dyn ImageEditor + 'e>, size: u64, is_zero: bool) -> Result<Self> {
        let image = editor.image()?;
        if image.size() < size {
            let what = format!("the disk has {size} bytes, and that of the target only {}", image.size());
            return Err(Error::invalid(what));
        }
        let unit = image.describe().cluster_size.unwrap_or(MIN_UNIT_LEN).next_power_of_two();
        let (unit, size) = (unit.clamp(MIN_UNIT_LEN, MAX_UNIT_LEN), image.size());
        let target = Arc::new(MemoryTarget::new());
        Ok(Self { editor: Some(editor), unit, compression: None, size, is_zero, target })
    }

    /// The same writer, which compresses what it writes.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where the image cannot have compressed units.
    pub fn compressed(mut self) -> Result<Self> {
        let compression = self.editor().compression().ok_or_else(|| Error::unsupported(NO_COMPRESSION))?;
        self.unit = self.editor().image()?.describe().cluster_size.unwrap_or(self.unit);
        self.compression = Some(compression);
        Ok(self)
    }

    /// Writes the unit of `piece`, which is stored as `stored`. Where the disk goes on behind what is written, its bytes there stay.
    fn write_encoded(&self, piece: &Piece, stored: &[u8]) -> Result<()> {
        let is_whole = piece.len == self.unit || piece.guest + piece.len == self.size;
        let Some(compression) = self.compression.filter(|_| !is_whole) else {
            return self.editor().write_encoded(stored, piece.guest);
        };
        let mut plain = vec![0; usize::try_from(self.unit).unwrap_or(0)];
        let decoded = Decoder::default().decode(compression.codec, stored, &mut plain);
        decoded.map_err(|fault| Error::malformed(format!("a unit that was compressed {fault}")))?;
        self.editor().write_at(&plain[..usize::try_from(piece.len).unwrap_or(0)], piece.guest)
    }
}

impl<'e> EditingWriter<'e> {
    /// The image, which is not closed before the writer ends.
    fn editor(&self) -> &(dyn ImageEditor + 'e) {
        self.editor.as_deref().expect("only the end of the writer takes it")
    }
}

impl Drop for EditingWriter<'_> {
    fn drop(&mut self) {
        if let Some(editor) = self.editor.take() {
            // Whoever drops the writer tells the first error already.
            drop(editor.close());
        }
    }
}

impl ImageWriter for EditingWriter<'_> {
    fn shape(&self) -> Shape {
        Shape {
            unit: self.unit,
            order: Order::Random,
            compression: self.compression,
            pads_last: self.compression.is_some(),
            stores_plain: false,
            zeros_as_data: false,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        if piece.form == Form::Zero && !self.is_zero {
            self.editor().erase(piece.guest..piece.guest + piece.len, Erase::Zero)?;
        }
        Ok(Placed { host: piece.guest, len: piece.len })
    }

    fn store(&self, piece: &Piece, _host: u64, bytes: &[u8]) -> Result<()> {
        let len = usize::try_from(piece.len).unwrap_or(usize::MAX).min(bytes.len());
        match piece.form {
            Form::Encoded(_) => self.write_encoded(piece, bytes),
            _ => self.editor().write_at(&bytes[..len], piece.guest),
        }
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(Error::unsupported("the disk of an image that exists is as large as it is"))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.editor.take().expect("only the end of the writer takes it").close()
    }
}

/// Least guest bytes that are placed as one.
const MIN_UNIT_LEN: u64 = 4096;
/// Most guest bytes that are placed as one: larger units are filled by several pieces.
const MAX_UNIT_LEN: u64 = 2 << 20;
