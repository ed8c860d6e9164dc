//! An export by its address, for callers that know it by that.

use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::{Error, Medium, NewRemote, Remote, Result, Storage};

use crate::address::NbdAddress;
use crate::export::NbdExport;
use crate::line::Patience;

/// An export that is connected to when it is first asked for. Whoever asks again gets the same connection: some servers
/// have no more than one client, and end when that has gone.
#[derive(Debug)]
pub struct NbdRemote {
    /// Where it is.
    address: NbdAddress,
    /// How long to wait for it.
    patience: Patience,
    /// The connection, once there is one.
    export: Mutex<Option<Arc<NbdExport>>>,
}

impl NbdRemote {
    /// The export at `address`, which nobody talks to yet.
    #[must_use]
    pub fn new(address: NbdAddress) -> Self {
        Self { address, patience: Patience::default(), export: Mutex::default() }
    }

    /// The same export, waited for with `patience`.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The export.
    fn export(&self) -> Result<Arc<NbdExport>> {
        let mut export = self.export.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(export) = export.as_ref() {
            return Ok(Arc::clone(export));
        }
        let new = Arc::new(NbdExport::open_with(&self.address, self.patience.clone())?);
        Ok(Arc::clone(export.insert(new)))
    }
}

impl Remote for NbdRemote {
    fn protocol(&self) -> &'static str {
        "nbd"
    }

    fn open(&self) -> Result<Arc<dyn Storage>> {
        Ok(self.export()?)
    }

    fn open_to_write(&self) -> Result<Arc<dyn Medium>> {
        let export = self.export()?;
        if export.is_writable() {
            return Ok(export);
        }
        Err(Error::refused("the server lets the export be read only"))
    }

    fn create(&self, len: u64) -> Result<NewRemote> {
        let medium = self.open_to_write()?;
        // An export is neither made nor resized by its clients.
        if len > medium.len() {
            let has = medium.len();
            return Err(Error::out_of_bounds(format!("the image takes {len} bytes, and the export has {has}")));
        }
        Ok(NewRemote { medium, is_new: false })
    }

    fn discard(&self) {}
}
