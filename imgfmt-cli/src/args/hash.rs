//! The arguments of `imgfmt hash`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::{AnswerArgs, ProgressArgs, SourceArgs};

/// The arguments of `imgfmt hash`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct HashArgs {
    /// The images
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// What is said about the images.
    #[command(flatten)]
    pub source: SourceArgs,

    /// Which hash (repeatable)
    #[arg(short = 'a', long, value_name = "NAME", action = ArgAction::Append, default_value = "sha256")]
    pub algorithm: Vec<HashName>,

    /// Hash this internal snapshot, by name or id
    #[arg(short = 'l', long, value_name = "SNAPSHOT")]
    pub snapshot: Option<String>,

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

/// Hashes by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HashName {
    /// SHA-256
    Sha256,
    /// SHA-512
    Sha512,
    /// BLAKE3, on all processors
    Blake3,
}

/// What `imgfmt hash --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt hash disk.qcow2
  imgfmt hash -a blake3 -a sha256 --output json disk.vmdk

The hash is of the disk that the guest sees, so it is the same whatever format the image is in, and the \
same as that of the raw disk. A line is the hash and the file, as sha256sum prints them.";
