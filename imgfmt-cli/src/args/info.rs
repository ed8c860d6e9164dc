//! The arguments of `imgfmt info`.

use std::path::PathBuf;

use clap::Args;

use super::{AnswerArgs, SourceArgs};

/// The arguments of `imgfmt info`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct InfoArgs {
    /// The image
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// What is said about the image.
    #[command(flatten)]
    pub source: SourceArgs,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// Describe every file that the image builds on, too
    #[arg(long)]
    pub backing_chain: bool,

    /// Leave out what has to be counted by walking the image's tables
    #[arg(long)]
    pub no_count: bool,

    /// Say what lies on the disk: its partitions and file systems
    #[arg(long)]
    pub partitions: bool,
}

/// What `imgfmt info --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt info disk.qcow2
  imgfmt info --output json disk.vmdk
  imgfmt info --partitions --disk 2 appliance.ova
  imgfmt info --backing-chain --allow /images snapshot.qcow2

A backing file is only opened with --backing-chain. Extents that an image consists of are \
opened where they lie beside or below it; --allow admits more.";
