//! The program as its users see it: arguments in, output, files and exit codes out.
#![expect(clippy::unwrap_used, reason = "a test that cannot do its part has failed")]

mod arguments;
mod convert;
mod desk;
#[cfg(feature = "docs")]
mod docs;
mod info;
mod oracle;
mod progress;
mod signals;
