//! Sparse extents in every layout, built here.

mod build;
mod describe;
mod layouts;
mod refusals;

use std::sync::Arc;

use imgfmt_core::{DenyAll, Format, Limits, MemoryStorage, OpenContext, Opened, Result};
use imgfmt_vmdk::Vmdk;

/// The layer in a file of these bytes, which may open no other.
fn open_bytes(bytes: Vec<u8>) -> Result<Opened> {
    Vmdk.open(Arc::new(MemoryStorage::new(bytes)), &OpenContext::new(&Limits::default(), &DenyAll))
}
