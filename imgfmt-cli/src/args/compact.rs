//! The arguments of `imgfmt compact`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{AnswerArgs, EditArgs, ProgressArgs};

/// The arguments of `imgfmt compact`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct CompactArgs {
    /// The image
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The compacted image; by default it takes the image's place once it is whole
    #[arg(value_name = "OUTPUT", conflicts_with = "in_place")]
    pub output: Option<PathBuf>,

    /// What is said about the image.
    #[command(flatten)]
    pub edit: EditArgs,

    /// Change the image where it is, which needs no space beside it
    #[arg(long)]
    pub in_place: bool,

    /// Compress what is not compressed yet
    #[arg(short = 'c', long, conflicts_with_all = ["uncompressed", "in_place"])]
    pub compress: bool,

    /// Decompress what is compressed
    #[arg(long, conflicts_with = "in_place")]
    pub uncompressed: bool,

    /// Other options for the new image, such as compression_type=zstd; `-o help` lists them
    #[arg(short = 'o', long = "options", value_name = "OPTS", action = ArgAction::Append, conflicts_with = "in_place")]
    pub options: Vec<String>,

    /// Threads to work with; one for each processor by default
    #[arg(short = 'm', long, visible_alias = "parallel", value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,
}

/// What `imgfmt compact --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt compact -f qcow2 disk.qcow2
  imgfmt compact -f qcow2 -c -o compression_type=zstd disk.qcow2 small.qcow2
  imgfmt compact -f raw --in-place disk.raw

Units that are zero are dropped, and what is left lies together. Fill free space with zeros in the guest \
before, as with fstrim or zerofree, so that it can be dropped.";
