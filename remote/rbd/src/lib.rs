#![doc = include_str!("../README.md")]

mod address;
mod helper;
mod mode;
mod remote;

pub use address::RbdAddress;
pub use mode::Mode;
pub use remote::RbdRemote;
