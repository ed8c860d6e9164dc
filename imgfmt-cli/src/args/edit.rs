//! What every command can be told about the image that it changes.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::SourceArgs;

/// What is said about the image to change.
#[derive(Args, Clone, Debug, Default)]
pub struct EditArgs {
    /// The format of the image. What a file's bytes say is not enough to change it, unless it is raw
    #[arg(short = 'f', long, value_name = "FMT")]
    pub format: Option<String>,

    /// Options for opening the image, as NAME=VALUE,...; `help` lists those of the format
    #[arg(long, value_name = "OPTS", action = ArgAction::Append)]
    pub open_options: Vec<String>,

    /// A secret that options may name: secret,id=ID,file=FILE or secret,id=ID,data=TEXT (repeatable)
    #[arg(long, value_name = "OBJECT", action = ArgAction::Append)]
    pub object: Vec<String>,

    /// Allow images to name this file, or the files below this folder (repeatable)
    #[arg(long, value_name = "PATH", action = ArgAction::Append)]
    pub allow: Vec<PathBuf>,

    /// Go on although another program uses the image. That can destroy it
    #[arg(short = 'U', long)]
    pub force_share: bool,
}

impl From<&EditArgs> for SourceArgs {
    fn from(args: &EditArgs) -> Self {
        Self {
            format: args.format.clone(),
            open_options: args.open_options.clone(),
            object: args.object.clone(),
            allow: args.allow.clone(),
            force_share: args.force_share,
            ..Self::default()
        }
    }
}
