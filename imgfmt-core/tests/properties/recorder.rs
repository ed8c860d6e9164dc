//! A writer that trusts the engine in nothing: every call is checked, and what was stored can be put together again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use imgfmt_core::codec::Decoder;
use imgfmt_core::{Form, ImageWriter, MemoryTarget, Order, Piece, Placed, Result, Shape, Target};

use crate::noise::Noise;

/// What was placed, in order, and what was stored there.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Pieces in the parts in which they were placed, each with its host offset.
    pub(crate) pieces: Vec<(Piece, u64)>,
    /// Bytes by host offset.
    pub(crate) stored: BTreeMap<u64, Vec<u8>>,
    /// Whether the image was finished.
    pub(crate) finished: bool,
    /// Guest bytes that are placed.
    next: u64,
    /// The next free host byte.
    host: u64,
    /// The last guest byte that was stored.
    last: Option<u64>,
}

/// The writer.
pub(crate) struct Recorder {
    /// Guest bytes of the disk.
    size: u64,
    /// What the engine is told.
    shape: Shape,
    /// What the sizes of parts follow from.
    seed: u64,
    /// Where nothing is written to.
    target: Arc<dyn Target>,
    /// What happened.
    record: Arc<Mutex<Record>>,
    /// Whether a store is on its way.
    storing: AtomicBool,
}

impl Recorder {
    /// A writer for a disk of `size` bytes, and what it will have recorded.
    pub(crate) fn writer(size: u64, shape: Shape, seed: u64) -> (Box<dyn ImageWriter>, Arc<Mutex<Record>>) {
        let record = Arc::new(Mutex::new(Record::default()));
        let target = Arc::new(MemoryTarget::new());
        let storing = AtomicBool::new(false);
        let writer = Self { size, shape, seed, target, record: Arc::clone(&record), storing };
        (Box::new(writer), record)
    }

    /// The bytes that belong to a piece in the target.
    fn stored_len(&self, piece: &Piece) -> u64 {
        match piece.form {
            Form::Zero | Form::Absent => 0,
            Form::Plain if self.shape.pads_last => piece.len.next_multiple_of(self.shape.unit),
            Form::Plain => piece.len,
            Form::Encoded(len) => u64::from(len),
        }
    }
}

impl ImageWriter for Recorder {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        let mut record = self.record.lock().unwrap();
        let (unit, end) = (self.shape.unit, piece.guest + piece.len);
        assert_eq!(piece.guest, record.next, "{piece:?} does not follow");
        assert!(piece.len > 0 && end <= self.size && (end == self.size || end.is_multiple_of(unit)), "{piece:?}");
        let mut len = piece.len;
        if let Form::Encoded(stream) = piece.form {
            let compression = self.shape.compression.expect("nothing was to be compressed");
            assert!(stream > 0 && stream as usize <= compression.max_len, "{piece:?} is too long");
            assert!(len == unit || (len < unit && end == self.size), "{piece:?} is not one unit");
        } else {
            let units = 1 + Noise(self.seed ^ piece.guest).number() % piece.len.div_ceil(unit);
            len = len.min(units * unit);
        }
        let part = Piece { len, ..*piece };
        let host = record.host;
        record.host += self.stored_len(&part) + 1;
        record.next += len;
        record.pieces.push((part, host));
        Ok(Placed { host, len })
    }

    fn store(&self, piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        let ordered = self.shape.order == Order::Ordered;
        assert!(!self.storing.swap(true, Ordering::SeqCst) || !ordered, "two pieces are stored at once");
        {
            let mut record = self.record.lock().unwrap();
            assert!(record.pieces.contains(&(*piece, host)), "{piece:?} was not placed at {host}");
            assert!(!matches!(piece.form, Form::Zero | Form::Absent), "{piece:?} is stored");
            assert_eq!(bytes.len() as u64, self.stored_len(piece), "{piece:?} has another length");
            assert!(!ordered || record.last < Some(piece.guest + 1), "{piece:?} is out of order");
            record.last = Some(piece.guest + 1);
            assert!(record.stored.insert(host, bytes.to_vec()).is_none(), "{piece:?} is stored twice");
        }
        if ordered {
            std::thread::yield_now();
        }
        self.storing.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, size: u64) -> Result<()> {
        assert_eq!(size, self.size, "the disk has another size in the end");
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut record = self.record.lock().unwrap();
        assert_eq!(record.next, self.size, "the disk is not placed to its end");
        record.finished = true;
        Ok(())
    }
}

impl Record {
    /// The disk that the pieces make, on top of `below` where they are absent.
    ///
    /// # Panics
    ///
    /// Where a piece was not stored, or holds other bytes than it should have.
    pub(crate) fn put_together(&self, shape: &Shape, below: &[u8]) -> Vec<u8> {
        let mut disk = Vec::new();
        let unit = usize::try_from(shape.unit).unwrap();
        for (piece, host) in &self.pieces {
            let (start, len) = (disk.len(), usize::try_from(piece.len).unwrap());
            match piece.form {
                Form::Zero => disk.resize(start + len, 0),
                Form::Absent => disk.extend(&below[start..start + len]),
                Form::Plain => {
                    let (bytes, padding) = self.stored[host].split_at(len);
                    assert!(padding.iter().all(|&byte| byte == 0), "the padding is not zero");
                    disk.extend(bytes);
                }
                Form::Encoded(_) => {
                    let mut bytes = vec![0xa5; unit];
                    let codec = shape.compression.unwrap().codec;
                    let decoded = Decoder::default().decode(codec, &self.stored[host], &mut bytes).unwrap();
                    assert!(decoded == unit || (!shape.pads_last && decoded >= len), "{piece:?}: {decoded} bytes");
                    disk.extend(&bytes[..len]);
                }
            }
        }
        let to_store = self.pieces.iter().filter(|(piece, _)| !matches!(piece.form, Form::Zero | Form::Absent));
        assert_eq!(self.stored.len(), to_store.count());
        disk
    }
}
