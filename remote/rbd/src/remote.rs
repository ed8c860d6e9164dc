//! An image of a pool by its address, for callers that know it by that.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::convert::Cancel;
use imgfmt_core::{Medium, NewRemote, Remote, Result, Storage};
use imgfmt_nbd::NbdExport;

use crate::address::RbdAddress;
use crate::helper;
use crate::mode::Mode;

/// An image of a pool, which the helper opens.
#[derive(Debug)]
pub struct RbdRemote {
    /// The helper.
    program: PathBuf,
    /// Where the image is.
    address: RbdAddress,
    /// Says when not to wait any longer.
    cancel: Cancel,
    /// The image, once it has been opened to be read.
    export: Mutex<Option<Arc<NbdExport>>>,
}

impl RbdRemote {
    /// The image at `address`, which nobody has opened yet; `program` is the helper.
    #[must_use]
    pub fn new(program: PathBuf, address: RbdAddress) -> Self {
        Self { program, address, cancel: Cancel::default(), export: Mutex::default() }
    }

    /// The same image, which is not waited for any longer once `cancel` says so.
    #[must_use]
    pub fn cancelled_by(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// Has the helper open the image.
    fn serve(&self, mode: Mode) -> Result<Arc<NbdExport>> {
        helper::serve(&self.program, mode, &self.address, &self.cancel).map(Arc::new)
    }
}

impl Remote for RbdRemote {
    fn protocol(&self) -> &'static str {
        "rbd"
    }

    fn open(&self) -> Result<Arc<dyn Storage>> {
        let mut export = self.export.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(export) = export.as_ref() {
            return Ok(Arc::clone(export) as Arc<dyn Storage>);
        }
        let new = self.serve(Mode::Read)?;
        Ok(Arc::clone(export.insert(new)) as Arc<dyn Storage>)
    }

    fn open_to_write(&self) -> Result<Arc<dyn Medium>> {
        // What was opened before is of the past as soon as something is written.
        *self.export.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(self.serve(Mode::Write)?)
    }

    fn create(&self, len: u64) -> Result<NewRemote> {
        Ok(NewRemote { medium: self.serve(Mode::Create(len))?, is_new: true })
    }

    fn discard(&self) {
        helper::remove(&self.program, &self.address, &self.cancel);
    }
}
