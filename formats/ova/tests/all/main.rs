//! Appliances: read, refused, and written.

mod appliances;
mod archives;
mod support;
mod write;
