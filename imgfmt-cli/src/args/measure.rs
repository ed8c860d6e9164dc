//! The arguments of `imgfmt measure`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{AnswerArgs, SourceArgs};

/// The arguments of `imgfmt measure`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct MeasureArgs {
    /// The image that would be converted
    #[arg(value_name = "FILE", required_unless_present_any = ["size", "options"], conflicts_with = "size")]
    pub file: Option<PathBuf>,

    /// What is said about the image.
    #[command(flatten)]
    pub source: SourceArgs,

    /// An empty disk of this size in place of an image
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,

    /// The format of the new image
    #[arg(short = 'O', long = "target-format", value_name = "FMT", default_value = "raw")]
    pub target_format: String,

    /// Options of the new image's format as NAME=VALUE,...; `-o help` lists them
    #[arg(short = 'o', long = "options", value_name = "OPTS", action = ArgAction::Append)]
    pub options: Vec<String>,

    /// Measure this internal snapshot, by name or id
    #[arg(short = 'l', long, value_name = "SNAPSHOT")]
    pub snapshot: Option<String>,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,
}

/// What `imgfmt measure --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt measure -O qcow2 disk.vmdk
  imgfmt measure -O vhdx --size 100G --output json

Says how many bytes the new image takes: with the data that is there, and with all of the disk filled. \
Guest data is not read, so compression and runs of zeros within data are not foreseen.";
