#![doc = include_str!("../README.md")]

mod contents;
mod href;
mod manifest;
mod ovf;
mod package;
mod pieces;
mod tar;
mod wrapper;

pub use wrapper::{Ova, Tar};
