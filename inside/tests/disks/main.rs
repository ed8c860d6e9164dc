//! What lies on disks: tables from recipes, any tables, and what other programs make.

// For tests alone, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod common;
#[cfg(test)]
mod oracles;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod recipes;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod tables;
