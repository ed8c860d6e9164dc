//! The arguments of `imgfmt dd`.

use clap::{ArgAction, Args};

use super::{AnswerArgs, ProgressArgs, SourceArgs};

/// The arguments of `imgfmt dd`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct DdArgs {
    /// if=FILE, of=FILE, bs=SIZE, count=BLOCKS, skip=BLOCKS, osize=SIZE
    #[arg(value_name = "NAME=VALUE", required_unless_present = "options")]
    pub operands: Vec<String>,

    /// What is said about the image to read.
    #[command(flatten)]
    pub source: SourceArgs,

    /// The format of the target; raw by default
    #[arg(short = 'O', long = "target-format", value_name = "FMT", default_value = "raw")]
    pub target_format: String,

    /// Options of the target's format as NAME=VALUE,...; `-o help` lists them
    #[arg(short = 'o', long = "options", value_name = "OPTS", action = ArgAction::Append)]
    pub options: Vec<String>,

    /// Read this internal snapshot, by name or id
    #[arg(short = 'l', long, value_name = "SNAPSHOT")]
    pub snapshot: Option<String>,

    /// Write into the existing target
    #[arg(short = 'n', long = "no-create")]
    pub in_place: bool,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,
}

/// What `imgfmt dd --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt dd if=disk.qcow2 of=boot.raw bs=1M count=1
  imgfmt dd -O qcow2 if=disk.vmdk of=part.qcow2 bs=1M skip=100 count=50
  imgfmt dd if=disk.qcow2 of=- | sha256sum";
