#![doc = include_str!("../README.md")]

mod formats;

pub use formats::FORMATS;
pub use imgfmt_core::*;
