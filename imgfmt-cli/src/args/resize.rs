//! The arguments of `imgfmt resize`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{AnswerArgs, EditArgs};

/// The arguments of `imgfmt resize`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct ResizeArgs {
    /// The image
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The new size of the disk, or with + or - the difference
    #[arg(value_name = "SIZE", allow_hyphen_values = true)]
    pub size: String,

    /// What is said about the image.
    #[command(flatten)]
    pub edit: EditArgs,

    /// Allow the disk to become smaller; what lies behind its new end is lost
    #[arg(long)]
    pub shrink: bool,

    /// What is done about the new space
    #[arg(long, value_name = "HOW", default_value = "off")]
    pub preallocation: PreallocationHow,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// Print nothing but errors
    #[arg(short = 'q', long)]
    pub quiet: bool,
}

/// What is done about new space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PreallocationHow {
    /// Nothing
    Off,
    /// It has its place in the tables
    Metadata,
    /// The file system takes space for it
    Falloc,
    /// Zeros are written
    Full,
}

/// What `imgfmt resize --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt resize -f qcow2 disk.qcow2 100G
  imgfmt resize -f vhdx disk.vhdx +10G
  imgfmt resize -f qcow2 --shrink disk.qcow2 20G

Make file systems and partitions smaller before the disk, and larger after it.";
