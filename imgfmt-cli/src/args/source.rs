//! What every command can be told about the images that it reads.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// What is said about the images to read.
#[derive(Args, Clone, Debug)]
pub struct SourceArgs {
    /// The format of the images to read; probed by default
    #[arg(short = 'f', long, value_name = "FMT")]
    pub format: Option<String>,

    /// Options for opening the images to read, as NAME=VALUE,...; `help` lists those of the format
    #[arg(long, value_name = "OPTS", action = ArgAction::Append)]
    pub open_options: Vec<String>,

    /// Take the images to read as QEMU's options: driver=FMT,file.filename=FILE and options for opening
    #[arg(long, conflicts_with = "format")]
    pub image_opts: bool,

    /// The disk to read in a file that holds several: its name, or its number from 1 on
    #[arg(long, value_name = "DISK")]
    pub disk: Option<String>,

    /// A secret that options may name: secret,id=ID,file=FILE or secret,id=ID,data=TEXT (repeatable)
    #[arg(long, value_name = "OBJECT", action = ArgAction::Append)]
    pub object: Vec<String>,

    /// Allow images to name this file, or the files below this folder (repeatable)
    #[arg(long, value_name = "PATH", action = ArgAction::Append)]
    pub allow: Vec<PathBuf>,

    /// Largest temporary file that an image may be unpacked into
    #[arg(long, value_name = "SIZE", default_value = DEFAULT_SPOOL_LIMIT)]
    pub spool_limit: String,

    /// Read images although another program writes them; what is read may not fit together
    #[arg(short = 'U', long)]
    pub force_share: bool,
}

/// Nothing is said.
impl Default for SourceArgs {
    fn default() -> Self {
        Self {
            format: None,
            open_options: Vec::new(),
            image_opts: false,
            disk: None,
            object: Vec::new(),
            allow: Vec::new(),
            spool_limit: DEFAULT_SPOOL_LIMIT.to_owned(),
            force_share: false,
        }
    }
}

/// Largest temporary file, where nothing else is said.
const DEFAULT_SPOOL_LIMIT: &str = "1T";
