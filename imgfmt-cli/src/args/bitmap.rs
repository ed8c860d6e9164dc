//! The arguments of `imgfmt bitmap`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{AnswerArgs, EditArgs};

/// The arguments of `imgfmt bitmap`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct BitmapArgs {
    /// The image
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The bitmap
    #[arg(value_name = "BITMAP")]
    pub bitmap: String,

    /// What is said about the image.
    #[command(flatten)]
    pub edit: EditArgs,

    /// What to do, in this order: add, clear, merge, enable or disable, remove.
    #[command(flatten)]
    pub what: BitmapWhat,

    /// With --add: guest bytes that one bit stands for
    #[arg(short = 'g', long, value_name = "SIZE", requires = "add")]
    pub granularity: Option<String>,

    /// With --merge: the image that the other bitmap is in; this one by default
    #[arg(short = 'b', long, value_name = "FILE", requires = "merge")]
    pub source_file: Option<PathBuf>,

    /// With --merge: the format of that image
    #[arg(short = 'F', long, value_name = "FMT", requires = "source_file")]
    pub source_format: Option<String>,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,
}

/// What to do with a bitmap.
#[derive(Args, Clone, Debug, Default)]
#[group(required = true, multiple = true)]
pub struct BitmapWhat {
    /// Make it, clean and enabled
    #[arg(long)]
    pub add: bool,

    /// Remove it
    #[arg(long)]
    pub remove: bool,

    /// Forget what is dirty
    #[arg(long)]
    pub clear: bool,

    /// Record writes from now on
    #[arg(long, conflicts_with = "disable")]
    pub enable: bool,

    /// Record no writes from now on
    #[arg(long)]
    pub disable: bool,

    /// Add what is dirty in this other bitmap (repeatable)
    #[arg(long, value_name = "BITMAP", action = ArgAction::Append)]
    pub merge: Vec<String>,
}

/// What `imgfmt bitmap --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt bitmap -f qcow2 --add -g 64k disk.qcow2 backup
  imgfmt bitmap -f qcow2 --merge monday --merge tuesday disk.qcow2 week
  imgfmt bitmap -f qcow2 --remove disk.qcow2 backup";
