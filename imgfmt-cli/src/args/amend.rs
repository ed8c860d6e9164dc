//! The arguments of `imgfmt amend`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{AnswerArgs, EditArgs};

/// The arguments of `imgfmt amend`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct AmendArgs {
    /// The image
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// What is said about the image.
    #[command(flatten)]
    pub edit: EditArgs,

    /// What to change, as NAME=VALUE,...; `-o help` lists it
    #[arg(short = 'o', long = "options", value_name = "OPTS", action = ArgAction::Append, required = true)]
    pub options: Vec<String>,

    /// Do also what cannot be undone, such as erasing the last key of an encrypted image
    #[arg(long)]
    pub force: bool,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// Print nothing but errors
    #[arg(short = 'q', long)]
    pub quiet: bool,
}

/// What `imgfmt amend --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt amend -f qcow2 -o compat=1.1,lazy_refcounts=on disk.qcow2
  imgfmt amend -f qcow2 -o help";
