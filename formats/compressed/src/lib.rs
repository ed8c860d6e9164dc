#![doc = include_str!("../README.md")]

mod blocks;
mod bzip2;
mod coder;
mod gzip;
mod layout;
mod reader;
mod wrapper;
mod xz;
mod zstd;

pub use wrapper::{Bzip2, Gzip, Xz, Zstd};
