//! The arguments of `imgfmt check`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{AnswerArgs, ProgressArgs, SourceArgs};

/// The arguments of `imgfmt check`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct CheckArgs {
    /// The image
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// What is said about the image.
    #[command(flatten)]
    pub source: SourceArgs,

    /// Mend what can be mended: leaks, or all
    #[arg(short = 'r', long, value_name = "WHAT")]
    pub repair: Option<RepairWhat>,

    /// Decode every compressed unit, too: without it, damage in compressed data is not found
    #[arg(long)]
    pub deep: bool,

    /// Threads to decode with; one for each processor by default
    #[arg(short = 'm', long, visible_alias = "parallel", value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,
}

/// What is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RepairWhat {
    /// Space that nothing uses
    Leaks,
    /// Everything that can be
    All,
}

/// What `imgfmt check --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt check disk.qcow2
  imgfmt check --deep --output json upload.vmdk
  imgfmt check -f qcow2 -r all disk.qcow2

Exit codes:
  0   nothing is wrong, or all of it has been mended
  1   the check could not be made
  2   there is damage
  3   there are leaks: space that nothing uses, and no damage";
