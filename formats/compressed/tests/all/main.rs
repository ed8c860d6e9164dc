//! Compressed files: any members and blocks, and what other programs write.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod blocks;
mod members;
mod oracle;
mod support;
