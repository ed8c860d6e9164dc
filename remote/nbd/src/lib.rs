#![doc = include_str!("../README.md")]

mod address;
mod chunk;
mod connect;
mod connection;
mod export;
mod handshake;
mod known;
mod line;
mod medium;
mod offer;
mod remote;
mod server;
mod stream;
mod wire;

pub use address::{NbdAddress, NbdServer};
pub use export::NbdExport;
pub use line::Patience;
pub use remote::NbdRemote;
pub use server::Served;
pub use stream::Stream;
