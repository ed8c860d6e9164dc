//! The arguments of `imgfmt snapshot`.

use std::path::PathBuf;

use clap::Args;

use super::{AnswerArgs, EditArgs};

/// The arguments of `imgfmt snapshot`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct SnapshotArgs {
    /// The image
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// What is said about the image.
    #[command(flatten)]
    pub edit: EditArgs,

    /// What to do.
    #[command(flatten)]
    pub what: SnapshotWhat,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// Print nothing but errors
    #[arg(short = 'q', long)]
    pub quiet: bool,
}

/// What to do with snapshots.
#[derive(Args, Clone, Debug, Default)]
#[group(multiple = false)]
pub struct SnapshotWhat {
    /// List them; also where nothing is asked for
    #[arg(short = 'l', long)]
    pub list: bool,

    /// Keep the current state under this name
    #[arg(short = 'c', long, value_name = "NAME")]
    pub create: Option<String>,

    /// Go back to the state with this name or id
    #[arg(short = 'a', long, value_name = "NAME")]
    pub apply: Option<String>,

    /// Delete the state with this name or id
    #[arg(short = 'd', long, value_name = "NAME")]
    pub delete: Option<String>,
}

/// What `imgfmt snapshot --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt snapshot disk.qcow2
  imgfmt snapshot -f qcow2 -c before-upgrade disk.qcow2
  imgfmt snapshot -f qcow2 -a before-upgrade disk.qcow2";
