//! The arguments of `imgfmt bench`.

use std::path::PathBuf;

use clap::Args;

use super::{AnswerArgs, SourceArgs};

/// The arguments of `imgfmt bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct BenchArgs {
    /// The image
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// What is said about the image.
    #[command(flatten)]
    pub source: SourceArgs,

    /// Requests in all
    #[arg(short = 'c', long, value_name = "N", default_value = "75000")]
    pub count: u64,

    /// Requests at a time
    #[arg(short = 'd', long, value_name = "N", default_value = "64")]
    pub depth: u32,

    /// Bytes of a request
    #[arg(short = 's', long, value_name = "SIZE", default_value = "4096")]
    pub buffer_size: String,

    /// Bytes from the start of one request to that of the next; their size by default
    #[arg(short = 'S', long, value_name = "SIZE")]
    pub step_size: Option<String>,

    /// The first guest byte
    #[arg(short = 'o', long, value_name = "OFFSET", default_value = "0")]
    pub offset: String,

    /// Write instead of reading. That destroys what is on the disk
    #[arg(short = 'w', long)]
    pub write: bool,

    /// The byte that is written
    #[arg(long, value_name = "BYTE", default_value = "0", requires = "write")]
    pub pattern: u8,

    /// Flush after so many requests
    #[arg(long, value_name = "N", requires = "write")]
    pub flush_interval: Option<u64>,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,
}

/// What `imgfmt bench --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt bench disk.qcow2
  imgfmt bench -c 10000 -d 8 -s 64k disk.vmdk
  imgfmt bench -f raw -w -s 1M -c 1000 scratch.raw";
