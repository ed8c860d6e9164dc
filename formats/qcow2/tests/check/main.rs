//! The check finds what is wrong, says no more than that, and mends what can be.

// All of it is for tests, which clippy has to be told where helpers may unwrap.
#[cfg(test)]
mod damages;
#[cfg(test)]
mod harm;
#[cfg(test)]
mod image;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod provoke;
#[path = "../common/qemu.rs"]
mod qemu;
#[cfg(test)]
mod repair;
#[cfg(test)]
mod windows;
