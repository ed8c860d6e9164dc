//! A disk that forgets what was not flushed.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;

use imgfmt_core::{Error, MemoryTarget, Result, Target};

/// A target whose power is cut after some operations.
#[derive(Debug)]
pub(crate) struct Medium(Mutex<State>);

/// What a medium has, and what it may forget.
#[derive(Debug)]
struct State {
    /// What was flushed.
    safe: MemoryTarget,
    /// What was not, in order.
    loose: Vec<Operation>,
    /// How many operations there were.
    done: usize,
    /// How many there will have been when the power is cut.
    cut: usize,
}

/// What changes a medium.
#[derive(Debug)]
enum Operation {
    /// Bytes from an offset on.
    Write(Vec<u8>, u64),
    /// Zeros.
    Clear(Range<u64>),
    /// Another length.
    Len(u64),
}

impl Medium {
    /// A medium that holds `bytes`, until operation number `cut`.
    pub(crate) fn new(bytes: &[u8], cut: usize) -> Self {
        let safe = MemoryTarget::new();
        safe.write_at(bytes, 0).unwrap();
        Self(Mutex::new(State { safe, loose: Vec::new(), done: 0, cut }))
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> usize {
        self.0.lock().unwrap().done
    }

    /// What is there after the power was cut: of the operations that were not flushed, those that `keeps` says; and a
    /// write that was torn leaves half of its bytes, and noise where the rest should be.
    pub(crate) fn remains(self, mut keeps: impl FnMut() -> Fate) -> Vec<u8> {
        let state = self.0.into_inner().unwrap();
        for operation in &state.loose {
            match (operation, keeps()) {
                (_, Fate::Lost) => {}
                (Operation::Write(bytes, at), Fate::Torn) => {
                    let half = bytes.len() / 2;
                    let torn = [&bytes[..half], &vec![0xdb; bytes.len() - half]].concat();
                    state.safe.write_at(&torn, *at).unwrap();
                }
                (operation, Fate::Kept | Fate::Torn) => operation.carry_out(&state.safe),
            }
        }
        state.safe.to_vec()
    }

    /// Does something, unless the power is cut.
    fn operate(&self, operation: Option<Operation>) -> Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.done == state.cut {
            return Err(Error::io("the power was cut", std::io::ErrorKind::BrokenPipe.into()));
        }
        state.done += 1;
        match operation {
            Some(operation) => state.loose.push(operation),
            None => {
                let loose = std::mem::take(&mut state.loose);
                loose.iter().for_each(|operation| operation.carry_out(&state.safe));
            }
        }
        Ok(())
    }
}

/// What becomes of an operation that was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was carried out all the same.
    Kept,
    /// Nothing is left of it.
    Lost,
    /// Half of it is left and the rest is noise, where it is a write.
    Torn,
}

impl Operation {
    /// Does it.
    fn carry_out(&self, target: &MemoryTarget) {
        match self {
            Self::Write(bytes, at) => target.write_at(bytes, *at),
            Self::Clear(range) => target.clear(range.clone()),
            Self::Len(len) => target.set_len(*len),
        }
        .unwrap();
    }
}

impl Target for Medium {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.operate(Some(Operation::Write(bytes.to_vec(), offset)))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.operate(Some(Operation::Len(len)))
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.operate(Some(Operation::Clear(range)))
    }

    fn sync(&self) -> Result<()> {
        self.operate(None)
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }
}
