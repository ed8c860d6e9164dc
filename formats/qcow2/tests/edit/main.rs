//! Images that are changed where they are.

// All of it is for tests, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod amend;
#[cfg(test)]
mod bitmap_sizes;
#[cfg(test)]
mod bitmaps;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod encoded;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod images;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod model;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod overlap;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod uncounted;
#[cfg(test)]
mod versions;
