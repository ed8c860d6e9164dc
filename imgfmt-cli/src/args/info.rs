//! The arguments of `imgfmt info`.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

/// The arguments of `imgfmt info`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct InfoArgs {
    /// The image
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The format of the image; probed by default
    #[arg(short = 'f', long, value_name = "FMT")]
    pub format: Option<String>,

    /// How to print it
    #[arg(long, value_name = "FORM", default_value = "human")]
    pub output: OutputForm,

    /// Describe every file that the image builds on, too
    #[arg(long)]
    pub backing_chain: bool,

    /// Leave out what has to be counted by walking the image's tables
    #[arg(long)]
    pub no_count: bool,

    /// Allow images to name this file, or the files below this folder (repeatable)
    #[arg(long, value_name = "PATH", action = ArgAction::Append)]
    pub allow: Vec<PathBuf>,

    /// Accepted for scripts: images are never locked
    #[arg(short = 'U', long)]
    pub force_share: bool,

    /// Take the image as QEMU's options (not in this version)
    #[arg(long, hide = true)]
    pub image_opts: bool,

    /// Define an object, such as a secret (not in this version)
    #[arg(long, value_name = "OBJECT", action = ArgAction::Append, hide = true)]
    pub object: Vec<String>,
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// For people
    Human,
    /// For programs
    Json,
}

/// What `imgfmt info --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt info disk.qcow2
  imgfmt info --output json disk.vmdk
  imgfmt info --backing-chain --allow /images snapshot.qcow2

A backing file is only opened with --backing-chain. Extents that an image consists of are
opened where they lie beside or below it; --allow admits more.";
