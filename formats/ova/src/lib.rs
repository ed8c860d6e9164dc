#![doc = include_str!("../README.md")]

mod contents;
mod href;
mod manifest;
mod ovf;
mod package;
mod pieces;
mod tar;
mod wrapper;
mod write;

pub use wrapper::{Ova, Tar};
pub use write::OvaFormat;
