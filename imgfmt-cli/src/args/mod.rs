//! The command line, as clap sees it: plain values, nothing resolved.

mod convert;
mod info;
mod replay;
mod source;

use clap::{Parser, Subcommand};

pub use convert::{Cache, ConvertArgs, NotYet, ProgressForm};
pub use info::{InfoArgs, OutputForm};
pub use replay::ReplayArgs;
pub use source::SourceArgs;

/// Converts and describes virtual disk images.
#[derive(Clone, Debug, Parser)]
#[command(name = "imgfmt", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Convert an image to another format
    Convert(Box<ConvertArgs>),
    /// Say what an image is
    Info(InfoArgs),
    /// Finish in the file what an image's log says was about to be written
    Replay(ReplayArgs),
}

/// What `imgfmt --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt convert -O qcow2 disk.vmdk disk.qcow2
  imgfmt info disk.qcow2

Exit codes:
  0    done
  1    an error; what it was is on standard error
  129  hung up (SIGHUP)
  130  interrupted (SIGINT)
  143  terminated (SIGTERM)";
