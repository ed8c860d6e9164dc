//! Appliances: read, refused, and written.

mod appliances;
mod archives;
mod oracle;
mod support;
mod write;
