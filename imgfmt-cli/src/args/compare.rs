//! The arguments of `imgfmt compare`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{AnswerArgs, ProgressArgs};

/// The arguments of `imgfmt compare`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct CompareArgs {
    /// The first image
    #[arg(value_name = "FILE1")]
    pub first: PathBuf,

    /// The second image
    #[arg(value_name = "FILE2")]
    pub second: PathBuf,

    /// The format of the first image; probed by default
    #[arg(short = 'f', long, value_name = "FMT")]
    pub format: Option<String>,

    /// The format of the second image; probed by default
    #[arg(short = 'F', long, value_name = "FMT")]
    pub second_format: Option<String>,

    /// Options for opening the first image, as NAME=VALUE,...; `help` lists those of the format
    #[arg(long, value_name = "OPTS", action = ArgAction::Append)]
    pub open_options: Vec<String>,

    /// Options for opening the second image
    #[arg(long, value_name = "OPTS", action = ArgAction::Append)]
    pub second_open_options: Vec<String>,

    /// Sizes and what is stored have to agree, too
    #[arg(short = 's', long)]
    pub strict: bool,

    /// Threads to work with; one for each processor by default
    #[arg(short = 'm', long, visible_alias = "parallel", value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// A secret that options may name: secret,id=ID,file=FILE or secret,id=ID,data=TEXT (repeatable)
    #[arg(long, value_name = "OBJECT", action = ArgAction::Append)]
    pub object: Vec<String>,

    /// Allow images to name this file, or the files below this folder (repeatable)
    #[arg(long, value_name = "PATH", action = ArgAction::Append)]
    pub allow: Vec<PathBuf>,

    /// Read images although another program writes them
    #[arg(short = 'U', long)]
    pub force_share: bool,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,
}

/// What `imgfmt compare --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt compare disk.vmdk disk.qcow2
  imgfmt compare -s -f qcow2 a.qcow2 -F qcow2 b.qcow2

What one image has more than the other has to be zero.

Exit codes:
  0   the disks are the same
  1   they differ
  2   an image cannot be opened
  4   an image cannot be read";
