//! The harness that all fuzz targets share, so that a target is a line that names a format.
//!
//! It will hold `open_and_read_everything(format: &dyn Format, bytes: &[u8])`: open `bytes` as an
//! image through a gate that denies, walk every extent, and read every allocated byte. Whatever the
//! input, that ends in a value or an error: no panic, no hang, no allocation that the limits forbid.
