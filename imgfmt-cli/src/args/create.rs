//! The arguments of `imgfmt create`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::AnswerArgs;

/// The arguments of `imgfmt create`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct CreateArgs {
    /// The image to make
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// The size of the disk, such as 64G; that of the backing file by default
    #[arg(value_name = "SIZE")]
    pub size: Option<String>,

    /// The format; by default the one that the name ends with, such as .qcow2, or else raw
    #[arg(short = 'f', long, value_name = "FMT")]
    pub format: Option<String>,

    /// Options of the format as NAME=VALUE,...; `-o help` lists them
    #[arg(short = 'o', long = "options", value_name = "OPTS", action = ArgAction::Append)]
    pub options: Vec<String>,

    /// The file that the image shall build on
    #[arg(short = 'b', long, visible_short_alias = 'B', value_name = "FILE")]
    pub backing: Option<PathBuf>,

    /// The format of the backing file; probed by default
    #[arg(short = 'F', long, value_name = "FMT")]
    pub backing_format: Option<String>,

    /// Do not look at the backing file; the size has to be given
    #[arg(short = 'u', long)]
    pub unchecked: bool,

    /// A secret that options may name: secret,id=ID,file=FILE or secret,id=ID,data=TEXT (repeatable)
    #[arg(long, value_name = "OBJECT", action = ArgAction::Append)]
    pub object: Vec<String>,

    /// Allow images to name this file, or the files below this folder (repeatable)
    #[arg(long, value_name = "PATH", action = ArgAction::Append)]
    pub allow: Vec<PathBuf>,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// Print nothing but errors
    #[arg(short = 'q', long)]
    pub quiet: bool,
}

/// What `imgfmt create --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt create disk.qcow2 64G
  imgfmt create -b base.qcow2 -F qcow2 overlay.qcow2
  imgfmt create -f vhd -o subformat=fixed azure.vhd 30G
  imgfmt create -f vmdk -o help";
