//! Images that are changed in place: they read as a byte vector would, wherever the power is cut.

// All of it is for tests, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod images;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod model;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod parents;
#[cfg(test)]
#[path = "../oracle/readers.rs"]
mod readers;
#[cfg(test)]
mod shelf;
#[cfg(test)]
mod table;
