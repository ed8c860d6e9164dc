//! The arguments of `imgfmt map`.

use std::path::PathBuf;

use clap::Args;

use super::{AnswerArgs, SourceArgs};

/// The arguments of `imgfmt map`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct MapArgs {
    /// The image
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// What is said about the image.
    #[command(flatten)]
    pub source: SourceArgs,

    /// Map this internal snapshot, by name or id
    #[arg(short = 'l', long, value_name = "SNAPSHOT")]
    pub snapshot: Option<String>,

    /// The first guest byte
    #[arg(short = 's', long, value_name = "OFFSET", default_value = "0")]
    pub start_offset: String,

    /// How many guest bytes; up to the end by default
    #[arg(long, value_name = "LENGTH")]
    pub max_length: Option<String>,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,
}

/// What `imgfmt map --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt map disk.qcow2
  imgfmt map --output json --start-offset 1G --max-length 1M disk.vmdk

Each line is a run of guest bytes that are all of one kind: where it begins, how long it is, which layer \
of the chain has it (0 is the image itself), and where it is stored. Guest data is not read.";
