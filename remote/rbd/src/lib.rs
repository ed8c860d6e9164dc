#![doc = include_str!("../README.md")]

mod address;
mod helper;
mod mode;
mod order;
mod remote;

pub use address::RbdAddress;
pub use mode::Mode;
pub use order::read_order;
pub use remote::RbdRemote;
