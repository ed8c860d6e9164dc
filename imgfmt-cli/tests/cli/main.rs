//! The program as its users see it: arguments in, output, files and exit codes out.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test says why it skips, and fails where it cannot go on"
)]

mod arguments;
mod convert;
mod desk;
#[cfg(feature = "docs")]
mod docs;
mod golden;
mod info;
mod oracle;
mod pipes;
mod progress;
mod replay;
mod salvage;
mod schemas;
mod signals;
mod verify;
mod wrapped;
