//! The program in the place of `qemu-img`: what its callers run, and what `qemu-img` answers to the same lines.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test says why it skips, and fails where it cannot go on"
)]

mod both;
mod callers;
mod desk;
mod devices;
mod limits;
mod names;
mod remote;
mod reserve;
mod rule;
mod same;
mod servers;
mod usage;
