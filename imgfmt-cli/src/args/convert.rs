//! The arguments of `imgfmt convert`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::{AnswerArgs, HashName, ProgressArgs, SourceArgs};

/// The arguments of `imgfmt convert`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct ConvertArgs {
    /// The images to read, and last the image to write; several are put one behind the other
    #[arg(value_name = "FILE", num_args = 0..)]
    pub files: Vec<PathBuf>,

    /// What is said about the sources.
    #[command(flatten)]
    pub source: SourceArgs,

    /// The format of the target; by default the one that its name ends with, such as .qcow2, or else raw
    #[arg(short = 'O', long = "target-format", value_name = "FMT")]
    pub target_format: Option<String>,

    /// Convert this internal snapshot, by name or id, in place of the current state
    #[arg(short = 'l', long, value_name = "SNAPSHOT")]
    pub snapshot: Option<String>,

    /// Copy the dirty bitmaps of the source, too
    #[arg(long)]
    pub bitmaps: bool,

    /// Leave out bitmaps that cannot be relied on
    #[arg(long, requires = "bitmaps")]
    pub skip_broken_bitmaps: bool,

    /// Options of the target's format as NAME=VALUE,...; `-o help` lists them
    #[arg(short = 'o', long = "options", value_name = "OPTS", action = ArgAction::Append)]
    pub options: Vec<String>,

    /// Compress the target
    #[arg(short = 'c', long)]
    pub compress: bool,

    /// The file that the target shall build on; only what differs from it is converted
    #[arg(short = 'B', long, value_name = "FILE")]
    pub backing: Option<PathBuf>,

    /// The format of the backing file; probed by default
    #[arg(short = 'F', long, value_name = "FMT", requires = "backing")]
    pub backing_format: Option<String>,

    /// Write into the existing target, which has to be large enough
    #[arg(short = 'n', long = "no-create")]
    pub in_place: bool,

    /// The existing target reads as zeros, so zeros need not be written
    #[arg(long)]
    pub target_is_zero: bool,

    /// Runs of zeros to leave out of the target are at least this long; 0 writes all zeros
    #[arg(short = 'S', long = "sparse-size", value_name = "SIZE", default_value = "4k")]
    pub sparse_size: String,

    /// Threads to work with; one for each processor by default
    #[arg(short = 'm', long, visible_alias = "parallel", value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// How the target is written: unsafe leaves it to the system's cache; writeback, writethrough, none and
    /// directsync flush it at the end
    #[arg(short = 't', long = "target-cache", value_name = "MODE", default_value = "unsafe")]
    #[arg(hide_possible_values = true)]
    pub target_cache: Cache,

    /// Accepted for scripts: sources are always read through the system's cache, whatever the mode
    #[arg(short = 'T', long = "source-cache", value_name = "MODE", default_value = "writeback")]
    #[arg(hide_possible_values = true)]
    pub source_cache: Cache,

    /// How the answer is printed.
    #[command(flatten)]
    pub answer: AnswerArgs,

    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressArgs,

    /// Print this hash of the disk's content, computed on the way (repeatable)
    #[arg(long, value_name = "NAME", action = ArgAction::Append)]
    pub hash: Vec<HashName>,

    /// Read what was written and compare it with what was read, before the target gets its name
    #[arg(long)]
    pub verify: bool,

    /// Write so many bytes a second at most
    #[arg(short = 'r', long, value_name = "RATE")]
    pub rate_limit: Option<String>,

    /// Go on where a source cannot be read: such parts become zeros, and are listed
    #[arg(long)]
    pub salvage: bool,

    /// Accepted for scripts: writes are always out of order, and the output is the same anyway
    #[arg(short = 'W')]
    pub out_of_order: bool,

    /// Let the kernel copy what is stored alike on both sides, without looking for zeros in it; by default it
    /// does where the file system shares blocks
    #[arg(short = 'C')]
    pub copy_offload: bool,
}

/// Cache modes, by QEMU's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cache {
    /// Nothing is flushed.
    Unsafe,
    /// Flushed once, at the end; the rest too.
    Writeback,
    /// As `Writeback`.
    Writethrough,
    /// As `Writeback`.
    None,
    /// As `Writeback`.
    Directsync,
}

/// What `imgfmt convert --help` ends with.
const AFTER_HELP: &str = "\
Examples:
  imgfmt convert disk.vmdk disk.qcow2                    the source is probed, the target's name says what it is
  imgfmt convert appliance.ova disk.qcow2                the disk in an appliance; --disk picks one of several
  imgfmt convert disk.raw.xz appliance.ova               a compressed disk becomes an appliance
  curl ... | imgfmt convert -f vmdk -O qcow2 - d.qcow2   while it arrives
  imgfmt convert -f vmdk -O qcow2 -c disk.vmdk d.qcow2   compressed
  imgfmt convert -O qcow2 -o help                        what can follow -o
  imgfmt convert -O qcow2 -B base.qcow2 top.qcow2 new.qcow2
  imgfmt convert --hash sha256 --verify --output json disk.vmdk disk.qcow2
  imgfmt convert part1.raw part2.raw whole.raw           one behind the other
  imgfmt convert -n disk.qcow2 /dev/sdX                  onto a device
  imgfmt convert -O raw disk.qcow2 rbd:pool/image        into a Ceph pool; nbd://host/export is an address, too

A target that is a regular file is written beside its place and renamed when it is whole: \
a failure or a signal leaves what was there. Files that an image names (backing files, \
extents) are opened where they lie beside or below the image; --allow admits more.";
