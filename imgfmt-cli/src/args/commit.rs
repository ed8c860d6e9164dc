//! The arguments of `imgfmt commit`.

use std::path::PathBuf;

use clap::Args;

use super::{AnswerArgs, EditArgs, ProgressArgs};

/// The arguments of `imgfmt commit`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct CommitArgs {
    /// The image whose changes go down
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// What is said about the image.
    #[command(flatten)]
    pub edit: EditArgs,

    /// The file of the chain that they go to; by default the one right below. Implies -d
    #[arg(short = 'b', long, value_name = "FILE")]
    pub base: Option<PathBuf>,

    /// Leave the image as it is, instead of emptying it
    #[arg(short = 'd', long)]
    pub keep: bool,

    /// Bytes a second at most
    #[arg(short = 'r', long, value_name = "RATE")]
    pub rate_limit: Option<String>,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,
}

/// What `imgfmt commit --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt commit -f qcow2 top.qcow2                    into its backing file, and top.qcow2 is empty then
  imgfmt commit -f qcow2 -d -b base.qcow2 top.qcow2   several layers down";
