//! The arguments of `imgfmt rebase`.

use std::path::PathBuf;

use clap::Args;

use super::{AnswerArgs, EditArgs, ProgressArgs};

/// The arguments of `imgfmt rebase`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct RebaseArgs {
    /// The image
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// What is said about the image.
    #[command(flatten)]
    pub edit: EditArgs,

    /// The file to build on from now on; an empty name for none
    #[arg(short = 'b', long, visible_short_alias = 'B', value_name = "FILE")]
    pub backing: String,

    /// The format of the new backing file; probed by default
    #[arg(short = 'F', long, value_name = "FMT")]
    pub backing_format: Option<String>,

    /// Change the name alone: right only where the new file holds what the old one held
    #[arg(short = 'u', long)]
    pub unchecked: bool,

    /// Compress what is copied
    #[arg(short = 'c', long)]
    pub compress: bool,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,
}

/// What `imgfmt rebase --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt rebase -f qcow2 -b new-base.qcow2 -F qcow2 top.qcow2     what differs is copied into top.qcow2
  imgfmt rebase -f qcow2 -u -b moved/base.qcow2 -F qcow2 top.qcow2
  imgfmt rebase -f qcow2 -b '' top.qcow2                          stands alone from now on";
