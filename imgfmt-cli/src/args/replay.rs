//! The arguments of `imgfmt replay`.

use std::path::PathBuf;

use clap::Args;

use super::AnswerArgs;

/// The arguments of `imgfmt replay`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct ReplayArgs {
    /// The image, which is changed in place
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Format of the image; without it, the file is probed
    #[arg(short, long, value_name = "FMT")]
    pub format: Option<String>,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,
}

/// What `imgfmt replay --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt replay disk.vhdx
  imgfmt replay -f vhdx disk.img

Images are converted and described without it: their log is replayed in memory, and the file stays \
as it is. All of the log is checked before anything is written; after a crash or a power cut, replay \
again. The image must not be in use: only another replay is kept away from it.";
