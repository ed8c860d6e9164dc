//! The command line, as clap sees it: plain values, nothing resolved.

mod amend;
mod answer;
mod bench;
mod bitmap;
mod check;
mod commit;
mod compact;
mod compare;
mod convert;
mod create;
mod dd;
mod deferred;
mod edit;
mod hash;
mod info;
mod map;
mod measure;
mod progress;
mod rebase;
mod replay;
mod resize;
mod snapshot;
mod source;

use clap::{Parser, Subcommand};

pub use amend::AmendArgs;
pub use answer::{AnswerArgs, OutputForm};
pub use bench::BenchArgs;
pub use bitmap::{BitmapArgs, BitmapWhat};
pub use check::{CheckArgs, RepairWhat};
pub use commit::CommitArgs;
pub use compact::CompactArgs;
pub use compare::CompareArgs;
pub use convert::{Cache, ConvertArgs};
pub use create::CreateArgs;
pub use dd::DdArgs;
pub use deferred::Deferred;
pub use edit::EditArgs;
pub use hash::{HashArgs, HashName};
pub use info::InfoArgs;
pub use map::MapArgs;
pub use measure::MeasureArgs;
pub use progress::{ProgressArgs, ProgressForm};
pub use rebase::RebaseArgs;
pub use replay::ReplayArgs;
pub use resize::{PreallocationHow, ResizeArgs};
pub use snapshot::{SnapshotArgs, SnapshotWhat};
pub use source::SourceArgs;

/// Converts, describes, checks and changes virtual disk images.
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
    Convert(Deferred<ConvertArgs>),
    /// Say what an image is
    Info(Deferred<InfoArgs>),
    /// Look for damage in an image, and mend it
    Check(Deferred<CheckArgs>),
    /// Say which parts of a disk are stored, and where
    Map(Deferred<MapArgs>),
    /// Say how much space a new image would take
    Measure(Deferred<MeasureArgs>),
    /// Say whether two images hold the same disk
    Compare(Deferred<CompareArgs>),
    /// Print a hash of the disk that the guest sees
    Hash(Deferred<HashArgs>),
    /// Make a new image
    Create(Deferred<CreateArgs>),
    /// Change the size of a disk
    Resize(Deferred<ResizeArgs>),
    /// Change the file that an image builds on
    Rebase(Deferred<RebaseArgs>),
    /// Write the changes of an image into the file that it builds on
    Commit(Deferred<CommitArgs>),
    /// List, make, apply and delete internal snapshots
    Snapshot(Deferred<SnapshotArgs>),
    /// Change options of an image
    Amend(Deferred<AmendArgs>),
    /// Change the dirty bitmaps of an image
    Bitmap(Deferred<BitmapArgs>),
    /// Copy a part of a disk
    Dd(Deferred<DdArgs>),
    /// Measure how fast an image is read or written
    Bench(Deferred<BenchArgs>),
    /// Make an image as small as it can be
    Compact(Deferred<CompactArgs>),
    /// Finish in the file what an image's log says was about to be written
    Replay(Deferred<ReplayArgs>),
}

/// What `imgfmt --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt convert -O qcow2 disk.vmdk disk.qcow2
  imgfmt info disk.qcow2
  imgfmt check --deep upload.vmdk
  imgfmt compare disk.vmdk disk.qcow2

Every command has examples in its own --help.

Exit codes:
  0    done
  1    an error; what it was is on standard error
  2-4  answers of check and compare; their --help lists them
  129  hung up (SIGHUP)
  130  interrupted (SIGINT)
  143  terminated (SIGTERM)";
